"""Random little streams in which everything happens that the core has a rule for."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import detectors.foreign_resource as foreign_resource
import detectors.habits as habits
import detectors.key_probe as key_probe
import detectors.model_sweep as model_sweep
import detectors.new_origin as new_origin
import detectors.rate_limit_storm as rate_limit_storm
import detectors.repeated_call as repeated_call
import streams.alarms as alarms
from detectors import CATALOG, Channel
from detectors.second_user import SecondUser
from detectors.stolen_key_spend import StolenKeySpend
from streams.pipeline import CoreSettings

START_MS = 1_790_812_800_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def lower_limits(put: Callable[[object, str, Any], None]) -> None:
    """Lowers every limit, so that streams of some hundred events exercise every rule.

    Args:
        put: `setattr`, or a monkeypatch's.
    """
    put(alarms, "QUIET_MS", 2 * HOUR_MS)
    put(alarms, "ACCEPT_MS", 2 * HOUR_MS)
    for name, module in list(sys.modules.items()):
        if name.startswith("streams.") and hasattr(module, "ESCALATE"):
            put(module, "ESCALATE", 3)  # wherever it was imported to
    put(habits, "PROMOTE_AFTER", 3)
    put(habits, "ENOUGH_PEAKS", 3)
    put(habits, "PEAKS", 5)
    put(new_origin, "ODD_CALLS", 1)
    put(rate_limit_storm, "SAME_PROMPT", 2)
    put(repeated_call, "FAILING_CALLS", 3)
    put(foreign_resource, "OWNED_AFTER", 2)
    put(key_probe.KeyProbe, "channels", (_of("5m", "denied_models", 1), _origin(1)))
    put(
        model_sweep.ModelSweep,
        "channels",
        (_of("1h", "new_models", 1, mature=2), _of("1h", "new_models", 2, young=2)),
    )
    put(
        new_origin.NewOrigin,
        "channels",
        (
            _of("1h", "strangers", 1, mature=2),
            _of("1h", "new_addresses", 1, share=0.3, mature=2),
            _of("1h", "new_addresses", 1, mature=1, young=2, aged=2),
        ),
    )
    put(
        rate_limit_storm.RateLimitStorm,
        "channels",
        (_of("5m", "rate_limited", 5, share=0.1), _of("5m", "limited_repeats", 2)),
    )
    put(
        SecondUser,
        "channels",
        (
            _of("1d", "active_hours", 0, share=0.3, mature=1),
            _of("1d", "address_hours", 1, share=0.3, mature=1),
            _of("1d", "nanousd", 10**7, share=0.2, mature=1),
        ),
    )
    put(repeated_call.RepeatedCall, "channels", (_of("5m", "repeats", 4),))
    put(
        StolenKeySpend,
        "channels",
        (
            _of("5m", "tokens", 100, share=0.08, mature=2),
            _of("5m", "nanousd", 10**7, share=0.08, mature=2),
            _of("5m", "stranger_tokens", 50, share=0.4, mature=2, like="tokens"),
            _of("5m", "tokens", 20_000, young=2),
            _of("1h", "tokens", 1000, share=0.08, mature=2),
            _of("1h", "nanousd", 10**8, share=0.08, mature=2),
        ),
    )


def _of(window: str, feature: str, above: int, **rest: Any) -> Channel:
    return Channel(f"credential/{window}", feature, above, **rest)


def _origin(above: int) -> Channel:
    return Channel("origin/10m", "refused_keys", above)


SPOKEN = {
    "key-probe",
    "model-sweep",
    "stolen-key-spend",
    "new-origin",
    "second-user",
    "foreign-resource",
    "shared-session",
    "rate-limit-storm",
    "repeated-call",
    "duplicate-side-effect",
}
"""The detectors that the oracle judges with: every kind of feature, lane and memory. The others
are held by the contract test alone."""
OTHERS_OFF: dict[str, Any] = {
    kind.about.id: "off" for kind in CATALOG if kind.about.id not in SPOKEN
}


def random_settings(rng: Random) -> CoreSettings:
    """Settings that a stream is judged under."""
    return CoreSettings(
        lateness_s=rng.choice([1, 17, 60, 200, 240]),
        alert_budget=rng.choice([0.5, 100.0, 1000.0]),
        support=frozenset(rng.choice([(), ("t1",)])),
        modes=OTHERS_OFF,
    )


def random_stream(rng: Random, lateness_s: int, *, disorder: bool = True) -> list[bytes]:
    """Events in order of arrival: bursts, gaps, ties, redeliveries, conflicts, second signals."""
    lines: list[bytes] = []
    lateness = 1000 * lateness_s
    late_by = rng.choice([0, lateness / 2, lateness, 2 * lateness]) if disorder else 0
    pace = rng.choice([300, 3000, 30_000, 120_000])
    tie = rng.choice([0, 0, 6000, 72_000])
    keys = rng.choice([1, 2, 3, 8])
    now = newest = START_MS + rng.randrange(HOUR_MS)
    events = _events(rng, keys)
    for number in range(rng.randint(60, 400)):
        kind, event = next(events)
        if rng.random() < 0.03:
            now += rng.choice([5 * MINUTE_MS, lateness, *(h * HOUR_MS for h in (1, 3, 9, 26))])
        else:
            now += int(rng.expovariate(1 / (pace if kind == "calm" else 1000)))
        time = now - (int(rng.random() * late_by) if rng.random() < 0.6 else 0)
        if tie:
            time = time // tie * tie
        if disorder and number and rng.random() < 0.04:
            time = newest - lateness - rng.choice([0, 0, 1])  # just in time, or just late
        newest = max(newest, time)
        event |= {"event.id": f"e{number}", "timestamp": stamp(time)}
        if rng.random() < 0.05:
            event["observed_timestamp"] = stamp(now)
        lines.append(line(event))
        lines += _again(rng, lines, event, time, number)
    return lines


def _again(
    rng: Random, lines: list[bytes], event: dict[str, Any], time: int, number: int
) -> Iterator[bytes]:
    chance = rng.random()
    if chance < 0.06:
        yield rng.choice(lines[-60:])  # redelivery
    elif chance < 0.08:
        more = event.get("gen_ai.usage.input_tokens", 0) + 7
        other = rng.choice([{"gen_ai.usage.input_tokens": more}, {"tenant.id": "t1"}])
        yield line({**event, **other})  # conflict
    elif chance < 0.14:
        names = [f"call{number}a", f"call{number}b"]
        for copy in range(rng.choice([1, 2, 2, 3])):
            at = stamp(time + rng.choice([0, 500, 1900, 2500]))
            signal = {
                "event.id": f"e{number}s{copy}",
                "ingest.source": rng.choice(["one", "two", "three"]),
                "call.ids": rng.sample(names, rng.choice([1, 2])),
                "timestamp": at,
            }
            yield line({**event, **signal})
            if rng.random() < 0.3:
                yield line({**event, **signal})


def _events(rng: Random, keys: int) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = ["calm", "probe", "walk", "storm", "same", "spend", "stranger", "loop", "charge"]
    kinds += ["foreign", "session"]
    while True:
        kind = rng.choice(kinds) if rng.random() < 0.6 else "calm"
        key = min(int(rng.expovariate(2 / keys)), keys - 1)
        for _ in range(rng.randint(3, 14)):
            if kind in ("loop", "charge", "foreign"):
                yield kind, _tool(rng, kind, key)
            else:
                yield kind, _call(rng, kind, key)


def _call(rng: Random, kind: str, key: int) -> dict[str, Any]:
    status = 200
    if kind in ("probe", "walk"):
        status = rng.choice([401, 403, 404])
    elif kind == "storm":
        status = rng.choice([429, 429, 429, 200])
    elif rng.random() < 0.1:
        status = rng.choice([500, 429, 400])
    who = rng.randrange(12) if kind == "walk" else key
    new = kind == "stranger" or rng.random() < 0.03
    event: dict[str, Any] = {
        "event.name": rng.choice(["llm.auth_failure", "llm.request", "llm.request"])
        if status == 401
        else "llm.request",
        "tenant.id": f"t{who % 3}",
        "api_key.id": f"hmac:{7919 * who + 11:016x}",
        "gen_ai.request.model": f"m{rng.randrange(9) if kind == 'probe' or new else key % 2}",
        "gen_ai.usage.input_tokens": rng.randrange(60) * (200 if kind == "spend" else 1),
        "gen_ai.usage.output_tokens": rng.randrange(9),
        "cost.usd": rng.random() * (0.5 if kind == "spend" else 0.001),
        "http.response.status_code": status,
        "client.address": f"10.0.0.{rng.randrange(40) if new else key}",
        "client.address.quality": rng.choice(["peer", "peer", "peer", "masked"]),
        "user_agent.original": f"agent/{rng.randrange(9) if new else 0}",
        "content.input.hash": f"p{0 if kind in ('same', 'storm') else rng.randrange(90)}",
    }
    if kind == "session":
        event["gen_ai.conversation.id"] = f"conversation-{rng.randrange(3)}"
        event["tenant.id"] = f"t{rng.randrange(3)}"
    return drop_some(rng, event)


def _tool(rng: Random, kind: str, key: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event.name": "agent.tool_call",
        "tenant.id": f"t{rng.randrange(3) if kind == 'foreign' else key % 3}",
        "api_key.id": f"hmac:{7919 * key + 11:016x}",
        "gen_ai.conversation.id": f"run-{key}",
        "gen_ai.tool.name": "charge" if kind == "charge" else "read",
        "tool.args.hash": f"a{rng.randrange(2)}",
        "tool.side_effect": kind == "charge",
        "status": rng.choice(["ok", "ok", "error"]),
        "resource.id": f"r{rng.randrange(2)}",
    }
    if kind == "foreign" and rng.random() < 0.2:
        event["resource.owner.tenant_id"] = f"t{rng.randrange(3)}"
    if rng.random() < 0.3:
        event["idempotency_key.id"] = f"once{rng.randrange(2)}"
    return drop_some(rng, event)


def drop_some(rng: Random, event: dict[str, Any]) -> dict[str, Any]:
    """What a source may not know is sometimes missing."""
    if rng.random() < 0.1:
        unknown = rng.choice([name for name in event if name != "event.name"])
        del event[unknown]
    return event


def stamp(ms: int) -> str:
    """An instant on the wire."""
    moment = datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(event: dict[str, Any]) -> bytes:
    """The canonical line."""
    return json.dumps({"event.schema_version": "1.0", **event}).encode()
