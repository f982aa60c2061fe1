"""Every detector of stolen keys and of health speaks in its own scenes, and only there."""

import re
from hashlib import blake2b
from random import Random
from typing import Any

import pytest

from detectors import CATALOG
from schemas.decode import decode_line
from schemas.samples import trials_thieves
from schemas.samples.all_trials import TRIALS
from schemas.samples.trials import Scene, settings
from streams.pipeline import CoreSettings, Pipeline

ATTACKS = [(name, scene) for name, trial in TRIALS.items() for scene in trial.attacks]
QUIET = [(name, scene) for name, trial in TRIALS.items() for scene in trial.quiet]
SEED = 1000
LANES = {
    kind.about.id: {channel.window.partition("/")[0] for channel in kind.channels}
    for kind in CATALOG
}


def raised(name: str, lines: list[bytes], size: int = 2000) -> list[Any]:
    """What one detector says, and nobody else is asked."""
    pipeline = Pipeline(CoreSettings.model_validate(settings()), only={name, *LANES[name]})
    found = []
    for start in range(0, len(lines), size):
        found += pipeline.process(b"\n".join(lines[start : start + size])).findings
    return [finding for finding in found if finding.detector == name]


def _named(pairs: list[tuple[str, Scene]]) -> list[Any]:
    """Scenes that need days of history are slow."""
    return [
        pytest.param(
            *pair,
            id=f"{pair[0]}-{pair[1].__name__}",
            marks=[pytest.mark.slow] if pair[0] in trials_thieves.TRIALS else [],
        )
        for pair in pairs
    ]


@pytest.fixture(autouse=True)
def _everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.masks.SAMPLE_BITS", 0)
    monkeypatch.setattr("streams.masks.TOOL_SAMPLE_BITS", 0)


@pytest.mark.parametrize(("name", "scene"), _named(ATTACKS))
def test_what_it_was_made_for_is_found(name: str, scene: Scene) -> None:
    found = raised(name, scene(SEED))

    assert found
    assert all(
        finding.severity == "informational" for finding in found if finding.family == "health"
    )


@pytest.mark.parametrize(("name", "scene"), _named(QUIET))
def test_what_only_looks_like_it_is_quiet(name: str, scene: Scene) -> None:
    assert [] == [finding.summary for finding in raised(name, scene(SEED))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scene"), _named(ATTACKS))
def test_neither_blocks_nor_the_order_of_arrival_show(name: str, scene: Scene) -> None:
    lines, rng = scene(SEED), Random(0)
    whole = raised(name, lines)
    arrive = sorted((decode_line(line)[1] + rng.randint(0, 59_000), line) for line in lines)
    shuffled = raised(name, [line for _, line in arrive])

    assert [f.to_json() for f in whole] == [f.to_json() for f in raised(name, lines, 77)]
    assert {f.id for f in whole} == {f.id for f in shuffled}


def other(text: bytes) -> bytes:
    """The same text with other names for keys, sessions, contents and clients."""

    def renamed(found: re.Match[bytes]) -> bytes:
        return found[1] + blake2b(found[2], digest_size=8).hexdigest().encode()

    return re.sub(rb"(hmac:|user_agent.original\":\")([^\",]+)", renamed, text)


def said(finding: Any) -> Any:
    """When and what was told; where a window begins depends on the name of its key."""
    return None if "totals" in finding.evidence else (finding.time, finding.summary)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scene"), _named(ATTACKS))
def test_names_are_compared_for_equality_and_nothing_else(name: str, scene: Scene) -> None:
    lines = scene(SEED)
    mine = settings()
    renamed: dict[str, Any] = {
        **mine,
        "canaries": {other(key.encode()).decode() for key in mine["canaries"]},  # type: ignore[attr-defined]
        "revoked": {other(k.encode()).decode(): at for k, at in mine["revoked"].items()},  # type: ignore[attr-defined]
    }
    told = [
        (other(finding.entity.id.encode()).decode(), said(finding))
        for finding in raised(name, lines)
    ]
    pipeline = Pipeline(CoreSettings.model_validate(renamed), only={name, *LANES[name]})
    found = pipeline.process(b"\n".join(map(other, lines))).findings

    assert told
    assert set(told) == {(f.entity.id, said(f)) for f in found if f.detector == name}
