"""runaway-session: an agent whose context only grows."""

from itertools import accumulate, cycle, islice, permutations
from math import comb, factorial
from random import Random

import pytest

from detectors.runaway_session import (
    ABOVE_USUAL,
    CHANCE,
    LARGE_TOKENS,
    MAX_GAP_MS,
    MAX_STEP_TOKENS,
    NOTABLE_STEPS,
    STEPS,
)
from schemas.samples.loops import document_batch, finished_agent, growing_agent
from tests.detecting import HOUR, among, call, home, noon, only, raised

NAME = "runaway-session"
FIRST = LARGE_TOKENS
UNEVEN = (300, 900, 500)  # what each step adds


def run(
    steps: int,
    start: float = 0,
    every: float = 10,
    grow: tuple[int, ...] = UNEVEN,
    first: int = FIRST,
    **more: object,
) -> list[bytes]:
    sizes = accumulate(islice(cycle(grow), steps - 1), initial=first)
    return [call(start + i * every, input_tokens=size, **more) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("seed", range(3))
def test_an_agent_that_only_grows_is_found_among_the_keys_other_calls(seed: int) -> None:
    client = home()
    staged = growing_agent(seed, noon(), client, named=bool(seed % 2))
    found = raised(only(staged) if seed else among(client, staged), NAME)

    assert [client.key] == [finding.entity.id for finding in found]


@pytest.mark.parametrize("seed", range(3))
def test_agents_that_finish_and_documents_of_every_size_are_quiet(seed: int) -> None:
    client = home()

    assert [] == raised(only(finished_agent(seed, noon(), client)), NAME)
    assert [] == raised(only(document_batch(seed, noon(), client)), NAME)


def test_one_step_too_many_is_found_and_told_once() -> None:
    assert [] == raised(run(STEPS - 1), NAME)
    [found] = raised(run(STEPS), NAME)
    grown = list(accumulate(islice(cycle(UNEVEN), STEPS - 1), initial=FIRST))
    assert (STEPS, grown[0], grown[-1]) == tuple(
        found.evidence[name] for name in ("steps", "from", "to")
    )
    assert STEPS == len(found.event_ids)
    assert 1 == len(raised(run(5 * STEPS), NAME))


def test_an_agent_that_gets_the_same_again_and_again_is_found_sooner() -> None:
    assert [] == raised(run(NOTABLE_STEPS - 1, grow=(500,)), NAME)
    [found] = raised(run(NOTABLE_STEPS, grow=(500,)), NAME)
    assert NOTABLE_STEPS == found.evidence["steps"]


@pytest.mark.parametrize(("ratio", "steps"), [(1.17, 7), (1.27, 8), (1.39, 9), (1.8, 12), (3, 16)])
def test_the_more_alike_the_steps_the_fewer_are_enough(ratio: float, steps: int) -> None:
    grow = (1000, round(1000 * ratio))

    assert [] == raised(run(steps - 1, grow=grow), NAME)
    assert 1 == len(raised(run(steps, grow=grow), NAME))


def test_only_its_last_steps_have_to_be_even() -> None:
    start = run(4)
    more = run(NOTABLE_STEPS, start=40, grow=(500,), first=FIRST + 5000)

    assert [] == raised(start + more[:-1], NAME)
    assert 1 == len(raised(start + more, NAME))


def test_a_run_that_comes_up_by_chance_among_many_large_calls_says_nothing() -> None:
    steps, every = STEPS + 2, 10.0
    grown = run(steps, every=every)
    few = [call(every * i + 5, input_tokens=90_000) for i in range(4)]
    many = [call(every * i + 4 + j, input_tokens=90_000) for i in range(steps) for j in range(3)]

    assert CHANCE > comb(steps + 4, steps) / factorial(steps)
    assert 1 == len(raised(sorted_by_time(grown + few), NAME))
    assert CHANCE < comb(4 * steps - 3, steps) / factorial(steps)
    assert [] == raised(sorted_by_time(grown + many), NAME)


def sorted_by_time(lines: list[bytes]) -> list[bytes]:
    return sorted(lines, key=lambda line: line[line.index(b'"timestamp"') :][:45])


@pytest.mark.parametrize(("gap", "found"), [(MAX_GAP_MS / 1000, 1), (MAX_GAP_MS / 1000 + 1, 0)])
def test_a_step_follows_within_a_minute(gap: float, found: int) -> None:
    assert found == len(raised(run(STEPS, every=gap), NAME))


@pytest.mark.parametrize(("grow", "found"), [(1, 1), (0, 0), (-1, 0), (MAX_STEP_TOKENS + 1, 0)])
def test_a_step_is_a_little_larger_than_the_one_before(grow: int, found: int) -> None:
    lines = [call(10 * i, input_tokens=100_000 + i * grow) for i in range(STEPS)]

    assert found == len(raised(lines, NAME))


def test_small_and_refused_calls_are_no_steps() -> None:
    assert [] == raised([call(10 * i, input_tokens=100 + 9 * i) for i in range(99)], NAME)
    assert [] == raised(run(50, http_status=429), NAME)


def test_two_agents_in_conversations_of_their_own_are_not_one_run() -> None:
    together = run(2 * (STEPS - 1), every=5)
    named = [
        line
        for which in range(2)
        for line in run(STEPS - 1, start=which, session=f"conversation-{which}")
    ]

    assert 1 == len(raised(together, NAME))
    assert [] == raised(named, NAME)


def test_what_a_key_does_in_two_hours_of_a_week_is_its_habit() -> None:
    usual = [line for hour in (0, 5) for line in run(40, hour * HOUR, conversation_id=f"r{hour}")]
    enough = int(40 * ABOVE_USUAL)
    then = 30 * HOUR  # the next day, or it would be the same finding

    assert 1 == len(raised(usual, NAME))
    assert [] == [f for f in raised([*usual, *run(enough - 1, then)], NAME) if f.time.day > 1]
    assert 1 == len([f for f in raised([*usual, *run(enough, then)], NAME) if f.time.day > 1])


def test_short_runs_are_a_habit_too() -> None:
    usual = [line for hour in (0, 5) for line in run(STEPS - 2, hour * HOUR)]
    enough = round(ABOVE_USUAL * (STEPS - 2))
    then = 30 * HOUR

    assert [] == raised([*usual, *run(enough - 1, then, grow=(500,))], NAME)
    assert 1 == len(raised([*usual, *run(enough, then, grow=(500,))], NAME))


def test_one_long_run_alone_teaches_nothing() -> None:
    lines = [*run(60), *run(STEPS, 30 * HOUR)]

    assert 2 == len(raised(lines, NAME))


def test_the_order_of_arrival_does_not_show() -> None:
    lines = run(STEPS + 3, every=1, grow=(300,))
    told = set()
    for seed in range(20):
        shuffled = Random(seed).sample(lines, len(lines))
        told.add(tuple(finding.id for finding in raised(shuffled, NAME)))
    for order in permutations(range(3)):
        told.add(tuple(f.id for f in raised([*(lines[i] for i in order), *lines[3:]], NAME)))

    assert 1 == len(told)
    assert 1 == len(next(iter(told)))
