"""Signs of life of sources, put together from what every shard says of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from schemas.records import Heartbeat

MAX_SOURCES = 1_000  # the store keeps no more
MAX_SHARDS = 4_096  # of one source


class Beats:
    """What each shard last said of each source.

    >>> from datetime import UTC
    >>> at = datetime(2026, 10, 1, tzinfo=UTC)
    >>> beat = Heartbeat(source="litellm", time=at, last_event=at, events=1, lag_s=0)
    >>> said = [beat.model_copy(update={"detail": {"shard": number}}) for number in range(3)]
    >>> [one.events for one in Beats().join(said)]
    [3]
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[str, Heartbeat]] = {}

    def load(self, kept: Iterable[dict[str, Any]]) -> None:
        """Goes on from what `join` gave before a restart, as the store kept it."""
        for one in kept:
            beat = Heartbeat.model_validate(one)
            for shard, said in _parts(beat).items():
                self._note(shard, beat.model_copy(update=said))

    def join(self, beats: Iterable[Heartbeat]) -> list[Heartbeat]:
        """Takes what shards say; gives one sign of life for each source that was spoken of."""
        spoken = {self._note(str(beat.detail.get("shard", "")), beat) for beat in beats}
        return [_joined(self._said[source]) for source in sorted(spoken - {""})]

    def _note(self, shard: str, beat: Heartbeat) -> str:
        if beat.source not in self._said and len(self._said) >= MAX_SOURCES:
            return ""  # the first lane calls so many sources "other" already
        of = self._said.setdefault(beat.source, {})
        before = of.get(shard)
        if before.time <= beat.time if before else len(of) < MAX_SHARDS:
            of[shard] = beat  # one that a restarted shard says again is older
        return beat.source


def _joined(of: dict[str, Heartbeat]) -> Heartbeat:
    time = max(beat.time for beat in of.values())
    last = max((beat.last_event for beat in of.values() if beat.last_event), default=None)
    return Heartbeat(
        source=next(iter(of.values())).source,
        time=time,
        last_event=last,
        events=sum(beat.events for beat in of.values()),
        lag_s=max(0.0, (time - last).total_seconds()) if last else 0.0,
        detail={
            "shards": {
                shard: [beat.time.isoformat(), _last(beat), beat.events]
                for shard, beat in sorted(of.items())
            }
        },
    )


def _last(beat: Heartbeat) -> str | None:
    return beat.last_event.isoformat() if beat.last_event else None


def _parts(beat: Heartbeat) -> dict[str, dict[str, Any]]:
    shards: Any = beat.detail.get("shards", {})
    return {
        shard: {
            "time": datetime.fromisoformat(time),
            "last_event": datetime.fromisoformat(last) if last else None,
            "events": events,
        }
        for shard, (time, last, events) in shards.items()
    }
