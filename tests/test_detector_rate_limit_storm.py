"""rate-limit-storm: a client that hammers a service which keeps telling it to wait."""

from dataclasses import replace

from detectors.rate_limit_storm import LEAST_429, SAME_PROMPT
from schemas.samples import Incident, calm, deploy_burst, rate_limit_storm
from tests.detecting import among, call, home, noon, only, past, raised

NAME = "rate-limit-storm"


def refused(times: int, prompts: int = 1, **fields: object) -> list[bytes]:
    named = {"http_status": 429, **fields}
    return [call(60 + i / 10, prompt=f"hmac:{1 + i % prompts:016x}", **named) for i in range(times)]


def test_a_storm_is_found() -> None:
    client = home()
    found = raised(among(client, rate_limit_storm(0, noon(), client)), NAME)

    assert {client.key} == {finding.entity.id for finding in found}


def test_one_request_sent_once_more_than_an_honest_client_would() -> None:
    assert [] == raised(refused(SAME_PROMPT), NAME)
    [found] = raised(refused(SAME_PROMPT + 1), NAME)
    assert found.summary.endswith(f"one request was sent {SAME_PROMPT + 1} times")


def test_a_provider_incident_with_honest_backoff_is_quiet() -> None:
    client = replace(home(), per_day=3000.0)
    incident = Incident(client.model, noon(1), noon(1) + 3_600_000, 0.9)
    lines = [line.data for line in sorted(calm(0, client, 1, [incident]))]

    assert sum(b'"http.response.status_code":429' in line for line in lines) > LEAST_429
    assert [] == raised(lines, NAME)


def test_many_requests_each_tried_a_few_times_are_quiet() -> None:
    assert [] == raised(refused(90 * SAME_PROMPT, prompts=90), NAME)


def test_where_a_source_gives_no_prompts_the_volume_decides() -> None:
    assert [] == raised([call(i / 10, http_status=429) for i in range(LEAST_429)], NAME)
    assert 1 == len(raised([call(i / 10, http_status=429) for i in range(LEAST_429 + 1)], NAME))


def test_a_client_that_is_answered_may_ask_as_often_as_it_likes() -> None:
    assert [] == raised(refused(300, http_status=200), NAME)
    assert [] == raised(refused(300, http_status=500), NAME)


def test_a_deploys_burst_is_quiet() -> None:
    client = home()

    assert [] == raised(among(client, deploy_burst(0, noon(), client)), NAME)


def test_a_few_refusals_a_day_are_quiet() -> None:
    assert [] == raised(past(48, 3, http_status=429, prompt="hmac:1"), NAME)


def test_a_storm_without_a_past_is_found_too() -> None:
    client = home()

    assert raised(only(rate_limit_storm(0, noon(), client)), NAME)
