"""The store on a real PostgreSQL: the same promises as on SQLite, and several processes at once."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from alerts.deliverer import Deliverer, status
from alerts.memory import TableMemory
from alerts.outbox import Outbox
from alerts.store import AlertStore
from alerts.store_engine import StoreDown, close_store, reading
from streams.store import Findings, Snapshot, Store
from tests.alerts_fakes import NOON, Everyone, FakeSink, finding
from tests.postgres import Postgres, programs
from tests.test_store import (  # noqa: F401  (run here again, with this module's `desk`)
    Desk,
    test_a_button_pressed_twice_is_one_line_of_history,
    test_a_finding_is_told_to_the_siem_and_its_incident_to_people,
    test_a_position_is_stored_with_the_findings_it_includes,
    test_a_providers_outage_silences_the_storms_of_its_tenants,
    test_a_recurrence_after_a_false_positive_is_a_new_incident_that_names_the_old,
    test_a_revision_in_flight_is_followed_by_the_newer_one,
    test_a_stolen_keys_storm_waits_behind_the_theft_and_comes_out_after_it,
    test_a_storm_that_was_told_before_the_theft_is_put_behind_it,
    test_an_id_with_a_nul_in_it_stops_nothing,
    test_an_incident_that_still_waits_says_what_is_true_when_it_is_sent,
    test_an_unknown_incident_and_an_impossible_deed_change_nothing,
    test_closing_an_incident_closes_each_of_its_findings_under_one_uid,
    test_findings_that_come_again_change_nothing,
    test_nothing_is_stored_unless_all_of_it_is,
    test_the_severe_and_the_new_go_first,
    test_time_resolves_what_is_quiet_and_wakes_what_is_not,
    test_what_changed_since_is_read_in_order,
    test_what_somebody_did_is_in_the_history_and_on_the_way_to_people,
)

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(programs() is None, reason="needs PostgreSQL (Debian: postgresql)"),
]

WORKER = """
import sys, time
from pathlib import Path
from alerts.deliverer import Deliverer

class Sink:
    name, batch = "siem", 20
    def send(self, deliveries):
        with Path(sys.argv[2]).open("a") as file:
            file.writelines(f"{sys.argv[3]} {each.key}\\n" for each in deliveries)
            file.flush()
        time.sleep(0.02)
    def close(self):
        pass

deliverer = Deliverer(sys.argv[1], [Sink()])
deliverer.start()
print("started", flush=True)
sys.stdin.read()
deliverer.stop(5)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def url(server: Postgres) -> str:
    return server.database()


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    desk = Desk(url)
    yield desk
    close_store(desk.store.engine)


def test_ten_threads_that_find_the_same_and_other_things_make_one_incident(desk: Desk) -> None:
    def work(number: int) -> int:
        return sum(len(desk.found(finding(f"f-{n}"), finding(f"{number}-{n}")))
                   for n in range(10))  # fmt: skip

    with ThreadPoolExecutor(10) as pool:
        new = sum(pool.map(work, range(10)))
    assert (110, 110, 110) == (
        new, desk.only().count, desk.outbox.counts()["siem"]["waiting"]
    )  # fmt: skip
    assert 110 == desk.only().revision


def test_two_delivering_processes_send_nothing_twice_and_a_killed_one_is_replaced(
    desk: Desk, url: str, tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.touch()

    def start(name: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WORKER, url, str(sent), name]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def until(rows: int) -> list[list[str]]:
        deadline = time.monotonic() + 60
        while len(set(lines := sent.read_text().replace("\n", " ").split()[1::2])) < rows:
            assert time.monotonic() < deadline, lines[-3:]
            time.sleep(0.02)
        return [line.split() for line in sent.read_text().splitlines()]

    workers = {name: start(name) for name in "ab"}
    try:
        desk.found(*(finding(f"f-{n}") for n in range(400)))
        first = until(100)
        (owner,) = {name for name, _ in first}
        workers[owner].kill()
        until(400)
        desk.found(*(finding(f"g-{n}") for n in range(50)))
        lines = until(450)
    finally:
        for worker in workers.values():
            worker.communicate("", timeout=20) if worker.poll() is None else worker.wait()
    keys = [key for _, key in lines]
    again = len(keys) - len(set(keys))
    assert 450 == len(set(keys))
    assert again <= 20, "only what was in flight at the kill may come again"
    assert {"a", "b"} == {name for name, _ in lines}
    assert 450 == status(url)["siem"].delivered


def test_a_database_that_restarts_loses_nothing_and_is_waited_for(
    server: Postgres, desk: Desk
) -> None:
    desk.found(*(finding(f"f-{n}") for n in range(100)))
    sink = FakeSink("siem", lambda deliveries: time.sleep(0.02))
    deliverer = Deliverer(desk.store.engine, [sink])
    deliverer.start()
    server.stop()
    with pytest.raises(StoreDown):
        desk.found(finding("g"))
    server.start()
    desk.found(finding("g"))
    deadline = time.monotonic() + 30
    while deliverer.status()["siem"].delivered < 101:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    deliverer.stop()
    assert {f"f-{n}#1" for n in range(100)} | {"g#1"} == set(sink.taken)


def test_the_waiting_rows_are_found_by_their_index(desk: Desk) -> None:
    desk.found(*(finding(f"f-{n}") for n in range(2000)))
    query = (
        "EXPLAIN SELECT number FROM outbox WHERE destination = 'siem' AND"
        " outbox.state IN ('waiting', 'held') ORDER BY priority, number LIMIT 200"
    )
    with reading(desk.store.engine) as connection:
        plan = "\n".join(connection.execute(text(query)).scalars())
    assert "outbox_pending" in plan


def test_snapshots_rollups_and_a_sinks_memory_are_kept_there_too(url: str, tmp_path: Path) -> None:
    store = Store(tmp_path, url=url)
    store.record([finding()], snapshot=Snapshot(7, b"state"))
    store.record(snapshot=Snapshot(8, b"later"))
    assert [(8, b"later"), (7, b"state")] == [(s.position, s.data) for s in store.snapshots()]
    assert ["f-1"] == [row["id"] for row in Findings(tmp_path, url).select()]
    memory = TableMemory(url, "soc", limit=2)
    for name in "abca":
        memory.put(name, name * 2)
    assert ["aa", None, "cc"] == [memory.get(name) for name in "abc"]
    assert NOON.year == 2026 and not list(tmp_path.iterdir())
    store.close()


def test_two_destinations_that_take_the_same_at_once_leave_no_body_behind(url: str) -> None:
    store = AlertStore(url, Everyone(("a", "b")))
    store.record([finding(f"f-{n}") for n in range(600)])
    outbox = Outbox(store.engine)
    together = threading.Barrier(2)

    def take(name: str) -> None:
        for _ in range(60):
            rows = outbox.pending(name, 10)
            together.wait(30)
            outbox.delivered(name, rows)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(take, "ab"))

    with reading(store.engine) as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM outbox_bodies")).scalar()
    counts = {"waiting": 0, "held": 0, "delivered": 600, "dead": 0}
    assert {"a": counts, "b": counts} == outbox.counts()
