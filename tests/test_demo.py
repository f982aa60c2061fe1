"""The demo is honest: what is missed, disturbed or false is said as loudly as the rest."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.finding import Entity, Finding, Provenance, Severity
from schemas.samples import (
    Staged,
    World,
    make_clients,
    model_sweep,
    status_polling,
    support_engineer,
    two_weeks,
)
from schemas.samples.lines import at, instant
from streams.commands.demo import report
from streams.demo import Result, judge, watch
from streams.pipeline import Pipeline

SWEEP = model_sweep(0, at(1), make_clients(0)[0])
POLLING = status_polling(0, at(1), "acme")


def _world(*staged: Staged) -> World:
    return World(0, days=1, clients=make_clients(0)[:2], sessions_a_day=0, staged=list(staged))


def _finding(
    entity: Entity, time: datetime, *events: str, family: Any = "llmjacking", revision: int = 1
) -> Finding:
    return Finding(
        id=f"{entity.id}-{time}",
        revision=revision,
        detector="model-sweep",
        title="t",
        family=family,
        entity=entity,
        tenant="acme",
        time=time,
        since=time,
        severity=Severity.HIGH,
        summary="many models\x1b[2J",
        event_ids=events,
        cost_usd=None,
        provenance=Provenance(
            detector_version="1", settings="s", prices="p", state="1", position=0
        ),
    )


def _text(result: Result) -> str:
    return "\n".join(line for line, _ in report(result, 1.0))


def test_an_attack_is_found_by_the_first_finding_that_holds_one_of_its_events() -> None:
    third = SWEEP.lines[2]
    elsewhere = Entity(lane="origin", id="x")
    findings = [_finding(elsewhere, instant(third.ms), third.id)]

    [caught] = judge(_world(SWEEP), findings, 1).caught

    assert (findings[0], 3) == (caught.by, caught.events)
    assert instant(third.ms) - SWEEP.start == caught.after


def test_an_attack_is_found_by_a_finding_that_names_its_key_within_the_hour() -> None:
    key = SWEEP.entities[0]

    soon = judge(_world(SWEEP), [_finding(key, SWEEP.end + timedelta(minutes=59))], 1)
    later = judge(_world(SWEEP), [_finding(key, SWEEP.end + timedelta(minutes=61))], 1)

    assert (True, 0) == (soon.caught[0].by is not None, len(soon.false))
    assert (False, 1) == (later.caught[0].by is not None, len(later.false))


def test_a_finding_about_nothing_that_was_staged_is_false() -> None:
    stray = _finding(Entity(lane="credential", id="hmac:0"), SWEEP.start)

    result = judge(_world(SWEEP), [stray], 1)

    assert [stray] == result.false
    assert "Attacks: 0 of 1 found" in _text(result)
    assert "MISSED" in _text(result)
    assert "False alarms about anything else: 1" in _text(result)


def test_a_look_alike_that_was_raised_is_named_with_its_detector() -> None:
    event = POLLING.lines[0]

    result = judge(_world(POLLING), [_finding(POLLING.entities[0], POLLING.start, event.id)], 1)

    assert "Look-alikes: 0 of 1 stayed quiet" in _text(result)
    assert "RAISED  status-polling: model-sweep" in _text(result)


def test_a_later_revision_is_no_second_finding() -> None:
    key, when = SWEEP.entities[0], SWEEP.start
    findings = [_finding(key, when), _finding(key, when, revision=2)]

    assert 1 == len(judge(_world(SWEEP), findings, 1).findings)


def test_findings_about_the_pipeline_are_neither_hits_nor_false_alarms() -> None:
    own = _finding(SWEEP.entities[0], SWEEP.start, family="health")

    result = judge(_world(SWEEP), [own], 1)

    assert ([own], [], None) == (result.health, result.false, result.caught[0].by)


def test_control_characters_of_a_summary_do_not_reach_the_terminal() -> None:
    result = judge(_world(), [_finding(SWEEP.entities[0], SWEEP.start)], 1)

    assert "\x1b" not in _text(result)
    assert "many models\\x1b[2J" in _text(result)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_demo_finds_every_loud_attack_and_says_what_it_raised(seed: int) -> None:
    result = watch(two_weeks(seed), Pipeline(), lambda *_: None)
    missed = {caught.staged.kind for caught in result.caught if caught.by is None}

    assert set() == missed & {
        "stolen-key-burst",
        "cross-tenant-read",
        "shared-session",
        "triple-charge",
        "rate-limit-storm",
        "repeated-prompt",
    }


def test_support_stays_quiet_because_of_the_exception_given_beforehand() -> None:
    visit = support_engineer(0, at(0, 12), "acme", "birch-bank")
    without = replace(visit, controls=())

    [(_, raised)] = watch(_world(without), Pipeline(), lambda *_: None).disturbed
    [(_, hidden)] = watch(_world(visit), Pipeline(), lambda *_: None).disturbed

    assert {"foreign-resource"} == {finding.detector for finding in raised}
    assert [] == hidden


def test_the_lines_of_the_world_reach_the_pipeline_with_the_controls_first() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.blocks: list[bytes] = []
            self.findings: list[Finding] = []

        def process(self, block: bytes) -> Any:
            self.blocks.append(block)
            return self

        def close(self) -> Any:
            return self

    recorder: Any = Recorder()
    world = _world(support_engineer(0, at(0, 12), "acme", "birch-bank"))

    result = watch(world, recorder, lambda *_: None)

    assert b'"record":"control"' in recorder.blocks[0]
    assert result.events == sum(block.count(b"\n") for block in recorder.blocks[1:])
