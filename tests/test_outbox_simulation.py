"""Whatever happens in whatever order: nothing is lost, and people end up knowing what is true.

Hypothesis finds the order: findings, deeds, time, destinations that take, refuse, half take or
break, crashes between sending and noting it, queues without room. A failing run prints its steps.
"""

import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from alerts import outbox_queue
from alerts.base import Delivery, Partly, Rejected, RetryLater
from alerts.courier import Courier
from alerts.incident import Action, Incident, NotPossible
from alerts.outbox import Outbox
from alerts.retry import Retry
from alerts.store import AlertStore, Kept
from alerts.store_engine import close_store
from alerts.store_query import Query
from schemas.finding import Entity, Finding, Severity
from tests.alerts_fakes import NOON, Clock, Everyone, FakeSink, finding

ENTITIES = (
    Entity(lane="credential", id="hmac:1"),
    Entity(lane="credential", id="hmac:2"),
    Entity(lane="service", id="gpt-4o"),
)
FAMILIES = ("llmjacking", "retry-storm")
OUTCOMES = ("takes", "busy", "held", "refuses", "partly", "crashes")
LIMIT = 12  # rows one destination may have waiting


class Crash(BaseException):
    """The process is gone."""


class Simulation(RuleBasedStateMachine):
    """A store with a SIEM and people, both of which may fail."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="tripmeter-sim-")
        self.clock = Clock(NOON.timestamp())
        self.revisions: dict[str, int] = {}
        self.found: list[Finding] = []
        self.refused: set[str] = set()
        self.got: dict[str, list[Delivery]] = {"siem": [], "people": []}
        self.restart()

    def restart(self) -> None:
        router = Everyone(("siem",), ("people",))
        self.store = AlertStore(
            Path(self.folder) / "t.db", router, limit=LIMIT, kept=Kept(findings=10_000)
        )
        self.outbox = Outbox(self.store.engine)
        self.query = Query(self.store.engine)
        self.couriers = {name: self.courier(name) for name in self.got}

    def courier(self, name: str) -> Courier:
        return Courier(
            FakeSink(name),
            retry=Retry(first_s=1, cap_s=1, hold_s=1),
            on_fault=lambda name, reason: None,
            on_recovered=lambda name: None,
            max_dead=10_000,
            wall=self.clock,
            clock=self.clock,
            jitter=lambda: 1.0,
            pause=lambda seconds: True,
        )

    @property
    def now(self) -> Any:
        return NOON + timedelta(seconds=self.clock.now - NOON.timestamp())

    @rule(
        several=st.lists(
            st.tuples(
                st.integers(0, 30),
                st.sampled_from(ENTITIES),
                st.sampled_from(FAMILIES),
                st.sampled_from((Severity.LOW, Severity.HIGH)),
                st.sampled_from(("active", "active", "monitor")),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def find(self, several: list[tuple[int, Entity, str, Severity, str]]) -> None:
        made = []
        for number, entity, family, severity, mode in several:
            id = f"{number}-{entity.id}-{family}"
            revision = self.revisions.get(id, 0) + 1
            if revision <= 2:
                self.revisions[id] = revision
                made.append(
                    finding(
                        id, revision, entity=entity, family=family, severity=severity, mode=mode,
                        evidence={"services": ["gpt-4o"]},
                    )
                )  # fmt: skip
        new = self.store.record([*made, *made, *self.found[-2:]], now=self.now)
        assert made == new
        self.found += made

    @rule(
        verb=st.sampled_from(("ack", "snooze", "resolve", "false_positive", "reopen")),
        which=st.integers(0, 5),
    )
    def act(self, verb: Any, which: int) -> None:
        incidents = self.query.incidents()
        if incidents:
            incident = incidents[which % len(incidents)]
            try:
                self.store.act(incident.id, Action(verb=verb, by="ana", at=self.now))
            except NotPossible:
                assert not incident.active

    @rule(hours=st.sampled_from((1, 5, 25)))
    def wait(self, hours: int) -> None:
        self.clock.now += hours * 3600
        self.store.tick(self.now)

    @rule(name=st.sampled_from(("siem", "people")), outcome=st.sampled_from(OUTCOMES))
    def deliver(self, name: str, outcome: str) -> None:
        courier = self.couriers[name]
        courier._sink.behave = self.behaviour(name, outcome)  # type: ignore[attr-defined]
        self.clock.now += 2
        try:
            courier.step(self.outbox)
        except Crash:
            close_store(self.store.engine)
            self.restart()

    def behaviour(self, name: str, outcome: str) -> Any:
        def behave(deliveries: Sequence[Delivery]) -> None:
            got = self.got[name]
            first = deliveries[0]
            match outcome:
                case "busy" | "held":
                    raise RetryLater("no", operator=outcome == "held")
                case "refuses" if any(_odd(each) for each in deliveries):
                    if len(deliveries) == 1:
                        self.refused.add(first.key)
                    raise Rejected("odd")
                case "partly":
                    got.append(first)
                    raise Partly(frozenset({first.key}), {}, RetryLater("later"))
                case "crashes":
                    got += deliveries
                    raise Crash
            got += deliveries

        return behave

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            for _ in range(2000):
                self.store.tick(self.now)
                for name in self.got:
                    self.deliver(name, "takes")
                counts = self.outbox.counts()
                outside = self.store.engine.connect()
                with outside as connection:
                    full = connection.exec_driver_sql(
                        "SELECT count(*) FROM outbox_destinations WHERE overflow_since IS NOT NULL"
                    ).scalar()
                if not full and not any(c["waiting"] + c["held"] for c in counts.values()):
                    break
            self.check()
        finally:
            close_store(self.store.engine)
            shutil.rmtree(self.folder)

    def check(self) -> None:
        siem = [each.key for each in self.got["siem"] if each.incident is None]
        expected = [f"{each.id}#{each.revision}" for each in self.found]
        dead = self.refused
        assert [key for key in expected if key not in siem and key not in dead] == []
        firsts = [key for key in dict.fromkeys(siem) if key not in dead]
        assert [key for key in expected if key in set(firsts)] == firsts, "in order"
        assert sum(incident.count for incident in self.incidents()) == len(self.revisions)
        for incident in self.incidents():
            self.check_told(incident)
        assert self.bodies() == len(self.outbox.dead_letters(limit=10_000))

    def check_told(self, incident: Incident) -> None:
        """The last that people heard of it is what it is (states, not every count)."""
        heard = [
            each.incident
            for each in self.got["people"]
            if each.incident is not None and each.incident.id == incident.id
        ]
        dead = any(key.startswith(f"{incident.id}@") for key in self.refused)
        if heard and not dead and incident.shown:
            last = max(heard, key=lambda each: each.revision)
            assert (incident.state, incident.severity) == (last.state, last.severity)
        if incident.told and not dead:
            assert heard, incident

    def incidents(self) -> list[Incident]:
        return self.query.incidents(limit=10_000)

    def bodies(self) -> int:
        with self.store.engine.connect() as connection:
            query = "SELECT count(*) FROM outbox_bodies"
            return int(connection.exec_driver_sql(query).scalar() or 0)


def _odd(delivery: Delivery) -> bool:
    return delivery.key.startswith("3")


@pytest.mark.slow
def test_nothing_is_lost_and_people_know_what_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setattr(outbox_queue, "REFILL", 3)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Simulation,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
