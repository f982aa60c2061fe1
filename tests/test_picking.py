"""A detector that picks its events says the same as if it were shown all of them."""

from random import Random
from typing import Any

import pytest

from detectors import CATALOG, Detector
from schemas.decode import decode_line
from schemas.samples.all_trials import TRIALS
from streams.pipeline import CoreSettings, Pipeline
from streams.snapshot import pack
from tests.random_streams import START_MS as START
from tests.random_streams import line, stamp

PICKING = [kind for kind in CATALOG if kind.pick is not Detector.pick]
EACH = pytest.mark.parametrize("kind", PICKING, ids=[kind.about.id for kind in PICKING])
DAY_MS = 86_400_000
SETTINGS = CoreSettings(support=frozenset({"t9"}))


def stream(seed: int) -> list[bytes]:
    """Some days of a few tenants, keys, sessions, tools and places that are often mixed up."""
    rng = Random(seed)
    lines, now = [], START
    hurry = rng.choice([4000, 120_000, 1_800_000])
    for number in range(500):
        now += int(rng.expovariate(1 / hurry))
        who = 1 + int(rng.expovariate(0.2)) % 30
        event: dict[str, Any] = {
            "event.id": f"e{number}" if rng.random() < 0.9 else f"{number}" + "é" * 30,
            "event.name": rng.choice(["llm.request", "llm.request", "agent.tool_call"]),
            "timestamp": stamp(now - (rng.randrange(59_000) if rng.random() < 0.3 else 0)),
            "tenant.id": f"t{who % 7 if rng.random() < 0.9 else rng.randrange(10)}",
            "api_key.id": f"hmac:{who:016x}",
            "client.address": f"10.0.0.{who if rng.random() < 0.8 else rng.randrange(40)}",
            "client.address.quality": "peer",
            "gen_ai.conversation.id": f"conversation-{rng.randrange(who, who + 3)}",
            "gen_ai.tool.name": f"tool{rng.randrange(4)}",
            "gen_ai.usage.input_tokens": rng.choice([5, 5000]),
            "http.response.status_code": 200,
            "status": rng.choice(["ok", "ok", "ok", "error"]),
            "resource.id": f"r{rng.randrange(9)}",
        }
        if event["event.name"] == "agent.tool_call" and rng.random() < 0.2:
            event["tool.side_effect"] = True
            event["tool.destination.ids"] = [f"to{rng.randrange(5)}"]
        if rng.random() < 0.1:
            del event[rng.choice(["tenant.id", "api_key.id", "client.address"])]
        if rng.random() < 0.05:
            event["user.id"] = "t9"
        lines.append(line(event) if seed % 2 else line(event).replace(b'": ', b'":'))
    return sorted(lines, key=lambda one: decode_line(one)[1] // 60_000 if hurry > 4000 else 0)


def judged(
    lines: list[bytes], name: str, size: int, limit: int = 0, restart: bool = False
) -> tuple[list[bytes], Any]:
    """What one detector says, and what it remembers in the end."""
    pipeline = Pipeline(SETTINGS, only={name})
    found = []
    for start in range(0, len(lines), size):
        [detector] = pipeline._inspectors._detectors
        if limit:
            assert detector.memory is not None
            detector.memory.limit = limit
        found += pipeline.process(b"\n".join(lines[start : start + size])).findings
        if restart:
            pipeline = Pipeline.restore(pipeline.snapshot(), SETTINGS, {name})
    state = pack(pipeline._inspectors.state()["memories"])
    # when it is said that the memory was full, depends on where blocks end
    return [finding.to_json() for finding in found if finding.family != "health"], state


@EACH
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [0, 25])
def test_picking_says_the_same_as_being_shown_all(
    kind: type[Detector], seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, name = stream(seed), kind.about.id
    picked = judged(lines, name, 100, limit)
    assert picked == judged(lines, name, 7, limit)
    assert picked == judged(lines, name, 500, limit)

    monkeypatch.setattr(kind, "pick", Detector.pick)
    assert picked == judged(lines, name, 100, limit)


@EACH
def test_an_attack_is_found_by_picking_as_by_being_shown_all(
    kind: type[Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, trial = kind.about.id, TRIALS[kind.about.id]
    scene = trial.attacks[0]
    lines = scene(0, trial.thinned) if trial.thinned > 1 else scene(0)
    picked = judged(lines, name, 700)
    assert picked[0]

    monkeypatch.setattr(kind, "pick", Detector.pick)
    assert picked == judged(lines, name, 700)


@EACH
def test_a_restart_between_blocks_changes_nothing(kind: type[Detector]) -> None:
    lines, name = stream(11), kind.about.id

    assert judged(lines, name, 60) == judged(lines, name, 60, restart=True)


def test_the_streams_make_them_speak() -> None:
    told = {kind.about.id: judged(stream(0), kind.about.id, 400)[0] for kind in PICKING}

    assert {"shared-session", "shared-key"} <= {name for name, found in told.items() if found}
    assert any(decode_line(stream(seed)[-1])[1] > START + DAY_MS for seed in range(6))
