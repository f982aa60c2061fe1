"""key-probe: a key refused on several models, an address refused with several keys."""

import pytest

from detectors.key_probe import REFUSED_KEYS, REFUSED_MODELS
from schemas.finding import Severity
from schemas.samples import key_probe_from_one_address, key_probe_on_a_credential
from tests.detecting import KEY, among, call, home, noon, only, raised

NAME = "key-probe"


def refused_models(models: int, **fields: object) -> list[bytes]:
    named = {"http_status": 403, "client_address_quality": "masked", **fields}
    return [call(60 + i, model=f"m{i}", **named) for i in range(models)]


def refused_keys(keys: int, **fields: object) -> list[bytes]:
    named = {"http_status": 401, "address": "198.18.0.9", **fields}
    return [call(60 + i, key=f"hmac:{i + 1:016x}", **named) for i in range(keys)]


def test_an_address_that_tries_a_list_of_keys_is_found() -> None:
    staged = key_probe_from_one_address(0, noon(), [])
    found = raised(only(staged), NAME)

    assert {staged.entities[0].id} == {finding.entity.id for finding in found}


def test_a_key_checker_is_not_lost_in_a_busy_keys_traffic() -> None:
    client = home()
    staged = key_probe_on_a_credential(0, noon(), client)

    assert client.key in {finding.entity.id for finding in raised(among(client, staged))}


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_one_more_refused_model_than_honest_is_found(status: int) -> None:
    assert [] == raised(refused_models(REFUSED_MODELS, http_status=status), NAME)
    found = raised(refused_models(REFUSED_MODELS + 1, http_status=status), NAME)
    assert [KEY] == [finding.entity.id for finding in found]


def test_one_more_refused_key_than_honest_is_found() -> None:
    assert [] == raised(refused_keys(REFUSED_KEYS), NAME)
    found = raised(refused_keys(REFUSED_KEYS + 1), NAME)
    assert [("198.18.0.9", Severity.HIGH)] == [(f.entity.id, f.severity) for f in found]


def test_hundreds_of_keys_are_critical() -> None:
    from tests.detecting import CoreSettings, Pipeline

    for keys, severity in ((10 * REFUSED_KEYS, "high"), (10 * REFUSED_KEYS + 1, "critical")):
        pipeline = Pipeline(CoreSettings())
        pipeline.process(b"\n".join(refused_keys(keys)))
        assert [severity] == [f.severity.value for f in pipeline.close().findings]


@pytest.mark.parametrize("quality", ["xff_unverified", "masked", None])
def test_an_address_that_the_client_may_have_chosen_proves_nothing(quality: str | None) -> None:
    assert [] == raised(refused_keys(50, client_address_quality=quality), NAME)


def test_an_expired_key_in_one_deployment_is_quiet() -> None:
    lines = [call(i, http_status=401, model=f"m{i % 2}") for i in range(500)]

    assert [] == raised(lines, NAME)


def test_what_is_answered_or_told_to_wait_is_no_refusal() -> None:
    for status in (200, 429, 500):
        assert [] == raised(refused_models(9, http_status=status), NAME)
        assert [] == raised(refused_keys(50, http_status=status), NAME)


def test_refusals_spread_over_hours_are_quiet() -> None:
    lines = [call(i * 3600, model=f"m{i}", http_status=403) for i in range(12)]

    assert [] == raised(lines, NAME)
