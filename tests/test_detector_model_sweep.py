"""model-sweep: a key that tries models it never used before."""

import pytest

from detectors.model_sweep import LEARNED_HOURS, NEW_MODELS, YOUNG_MODELS
from schemas.finding import Severity
from schemas.samples import migrating, model_sweep
from tests.detecting import HOUR, among, call, home, noon, past, raised

NAME = "model-sweep"
THEN = (LEARNED_HOURS + 4) * HOUR


def trying(models: int, then: float = THEN, **fields: object) -> list[bytes]:
    return [call(then + i, model=f"new{i}", **fields) for i in range(models)]


def test_a_sweep_over_models_is_found() -> None:
    client = home()
    found = raised(among(client, model_sweep(0, noon(), client)), NAME)

    assert {client.key} == {finding.entity.id for finding in found}


def test_one_new_model_is_a_migration_and_two_are_a_sweep() -> None:
    known = past(LEARNED_HOURS + 4)

    assert [] == raised([*known, *trying(NEW_MODELS)], NAME)
    assert 1 == len(raised([*known, *trying(NEW_MODELS + 1)], NAME))


def test_a_program_that_migrates_is_quiet() -> None:
    client = migrating(home(), noon(2), "gemini-2.5-flash")

    assert [] == raised(among(client), NAME)


def test_a_key_without_a_past_may_use_a_few_models() -> None:
    assert [] == raised(trying(YOUNG_MODELS), NAME)
    assert 1 == len(raised(trying(YOUNG_MODELS + 1), NAME))


@pytest.mark.parametrize(("hours", "found"), [(LEARNED_HOURS - 1, 0), (LEARNED_HOURS, 1)])
def test_new_means_something_after_some_hours(hours: int, found: int) -> None:
    then = (hours + 3) * HOUR

    assert found == len(raised([*past(hours), *trying(NEW_MODELS + 1, then)], NAME))


def test_a_sweep_from_a_new_address_is_critical() -> None:
    known = past(LEARNED_HOURS + 4)
    [at_home] = raised([*known, *trying(2)], NAME)
    [away] = raised([*known, *trying(2, address="198.18.0.9")], NAME)

    assert (Severity.HIGH, Severity.CRITICAL) == (at_home.severity, away.severity)


def test_known_models_are_quiet_however_many() -> None:
    lines = [call(h * HOUR + m, model=f"m{m % 20}") for h in range(40) for m in range(20)]
    found = raised(lines, NAME)

    assert all((finding.time.timestamp() % 86_400) < 2 * HOUR for finding in found)
