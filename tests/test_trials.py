"""Every detector of stolen keys and of health speaks in its own scenes, and only there."""

from typing import Any

import pytest

from schemas.samples.all_trials import TRIALS
from schemas.samples.trials import Scene, settings
from streams.pipeline import CoreSettings, Pipeline

ATTACKS = [(name, scene) for name, trial in TRIALS.items() for scene in trial.attacks]
QUIET = [(name, scene) for name, trial in TRIALS.items() for scene in trial.quiet]
SEED = 1000


def raised(name: str, lines: list[bytes], size: int = 2000) -> list[Any]:
    """What one detector says, and nobody else is asked."""
    pipeline = Pipeline(CoreSettings.model_validate(settings()), only={name})
    found = []
    for start in range(0, len(lines), size):
        found += pipeline.process(b"\n".join(lines[start : start + size])).findings
    return [finding for finding in found if finding.detector == name]


def _named(pairs: list[tuple[str, Scene]]) -> list[Any]:
    return [pytest.param(*pair, id=f"{pair[0]}-{pair[1].__name__}") for pair in pairs]


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
    from random import Random

    from schemas.decode import decode_line

    lines, rng = scene(SEED), Random(0)
    whole = raised(name, lines)
    arrive = sorted((decode_line(line)[1] + rng.randint(0, 59_000), line) for line in lines)
    shuffled = raised(name, [line for _, line in arrive])

    assert [f.to_json() for f in whole] == [f.to_json() for f in raised(name, lines, 77)]
    assert {f.id for f in whole} == {f.id for f in shuffled}
