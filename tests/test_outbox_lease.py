"""One process at a time sends to a destination; when it is gone, another does."""

import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine

from alerts.deliverer import Deliverer
from alerts.outbox_lease import LEASE_S, MARGIN_S, Leases, died, owner_of, process_name
from tests.alerts_fakes import Clock, FakeSink, finding, new_database, queue


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_database(tmp_path)[1]


def leases(engine: Engine, owner: str, clock: Clock) -> Leases:
    return Leases(engine, owner=owner, wall=clock, clock=clock)


def test_the_first_who_asks_sends_and_the_other_does_not(engine: Engine) -> None:
    clock = Clock()
    a, b = leases(engine, "host-a/n/1/1", clock), leases(engine, "host-b/n/1/1", clock)
    assert (True, False, True) == (a.held("siem"), b.held("siem"), b.held("soc"))
    assert "host-a/n/1/1" == owner_of(engine, "siem")


def test_a_lease_that_is_renewed_never_changes_hands(engine: Engine) -> None:
    clock = Clock()
    a, b = leases(engine, "host-a/n/1/1", clock), leases(engine, "host-b/n/1/1", clock)
    for _ in range(20):
        assert (True, False) == (a.held("siem"), b.held("siem"))
        clock.now += LEASE_S / 3
        a.renew()


def test_a_lease_nobody_renews_is_free_only_after_its_owner_has_stopped_using_it(
    engine: Engine,
) -> None:
    clock = Clock()
    a, b = leases(engine, "host-a/n/1/1", clock), leases(engine, "host-b/n/1/1", clock)
    a.held("siem")
    clock.now += LEASE_S - MARGIN_S / 2
    assert not b.held("siem")
    clock.now += MARGIN_S
    assert (True, False) == (b.held("siem"), a.held("siem"))


def test_who_stops_gives_it_back_at_once(engine: Engine) -> None:
    clock = Clock()
    a, b = leases(engine, "host-a/n/1/1", clock), leases(engine, "host-b/n/1/1", clock)
    a.held("siem")
    a.held("soc")
    a.give_back(but=["soc"])
    assert (True, False) == (b.held("siem"), b.held("soc"))


def test_a_process_of_this_machine_that_died_is_replaced_at_once(engine: Engine) -> None:
    other, clock = subprocess.Popen(["sleep", "60"]), Clock()
    leases(engine, process_name(other.pid), clock).held("siem")
    mine = leases(engine, process_name(), clock)
    before = mine.held("siem")
    other.kill()  # nobody has waited for it yet: a zombie
    while not mine.held("siem"):
        pass
    other.wait()
    assert not before


def test_only_what_is_surely_dead_counts_as_dead() -> None:
    host, namespace, pid, started, _ = process_name().split("/")
    assert str(os.getpid()) == pid
    assert [False, True, False, False] == [
        died("/".join(words))
        for words in (
            (host, namespace, pid, started, "x"),
            (host, namespace, pid, "1", "x"),  # the number was given to another process
            ("elsewhere", namespace, pid, "1", "x"),
            (host, "another container", pid, "1", "x"),
        )
    ]


def test_two_deliverers_send_each_record_once(tmp_path: Path) -> None:
    database, engine = new_database(tmp_path)
    sinks = [FakeSink("siem"), FakeSink("siem")]
    several = [Deliverer(database, [sink]) for sink in sinks]
    for each in several:
        each.start()
    queue(engine, *(finding(f"f-{n}") for n in range(50)))
    for each in several:
        each.stop()
    assert sorted(f"f-{n}#1" for n in range(50)) == sorted(sinks[0].taken + sinks[1].taken)
