"""Which events are judged at all, for the oracle: witnesses, redeliveries, second signals."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.oracle_events import milliseconds, outcome, stamped, tokens

JUMP_MS = 3_600_000
TWIN_MS = 2_000
STALE_MS = 240_000
CONTENT = (
    "event.name", "tenant.id", "user.id", "gen_ai.conversation.id", "session.id",
    "gen_ai.request.model", "gen_ai.tool.name", "tool.args.hash", "resource.id",
    "resource.owner.tenant_id", "content.input.hash",
)  # fmt: skip


class Admission:
    """Remembers every event for ever."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.ids: dict[str, set[tuple[Any, ...]]] = {}
        self.calls: dict[tuple[str, ...], list[list[Any]]] = {}

    def witnessed(self, lines: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """Events with their positions, without those that claim a time nobody bears out."""
        held: tuple[int, bytes] | None = None
        now: int | None = None
        for position, line in enumerate(lines):
            time = milliseconds(json.loads(line)["timestamp"])
            if held is not None:
                first, again = json.loads(held[1]), json.loads(line)
                then = milliseconds(first["timestamp"])
                if time == then and self._facts(first, time) == self._facts(again, time):
                    self.counts["duplicates"] += 1
                    continue
                if time >= then - JUMP_MS:
                    now = then if now is None else max(now, then)
                    yield held
                elif now is not None and time < now - STALE_MS:
                    yield position, line  # says nothing about the present
                    continue
                else:
                    self.counts["refused"] += 1
                held = None
            if (now is None or time > now + JUMP_MS) and not stamped(json.loads(line), time):
                held = (position, line)
            else:
                now = time if now is None else max(now, time)
                yield position, line
        if held is not None and now is None:
            yield held
        elif held is not None:
            self.counts["refused"] += 1

    @staticmethod
    def _facts(event: dict[str, Any], time: int) -> tuple[Any, ...]:
        nano = round(event.get("cost.usd", 0.0) * 1e9)
        who = (event["event.id"], event.get("api_key.id"))
        what = tuple(event.get(name) for name in CONTENT)
        return (*who, time, tokens(event), nano, outcome(event), *what)

    def seen(self, event: dict[str, Any], time: int) -> bool:
        """Whether this was judged before."""
        id, key = event["event.id"], event.get("api_key.id")
        signature = self._facts(event, time)
        known = self.ids.setdefault(id, set())
        if signature in known:
            self.counts["duplicates"] += 1
            return True
        conflict = bool(known)
        known.add(signature)
        names = [(name, str(key), event["event.name"]) for name in event.get("call.ids", ())]
        source = event.get("ingest.source", "canonical")
        for name in names:
            for call in self.calls.get(name, ()):
                if abs(call[0] - time) <= TWIN_MS and source not in call[1]:
                    call[1].append(source)
                    self.counts["merged"] += 1
                    return True
        call = [time, [source]]
        for name in names:
            self.calls.setdefault(name, []).append(call)
        self.counts["conflicts"] += conflict
        return False
