"""The threads that deliver."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from alerts.base import Delivery, RetryLater
from alerts.deliverer import Deliverer, Status, status
from alerts.store_engine import open_store
from tests.alerts_fakes import FakeSink, finding, new_database
from tests.alerts_fakes import queue as fill

CRASH = """
import os, sys
from pathlib import Path
from alerts.deliverer import Deliverer

class Sink:
    name, batch = "siem", 10
    def send(self, deliveries):
        with Path(sys.argv[2]).open("a") as file:
            file.writelines(each.key + "\\n" for each in deliveries)
            file.flush()
        if sys.argv[3] == "crash":
            os._exit(137)
    def close(self):
        pass

deliverer = Deliverer(Path(sys.argv[1]), [Sink()])
deliverer.start()
print(deliverer.stop(5))
"""


def queue(database: Path, *ids: str, to: tuple[str, ...] = ("siem",)) -> None:
    fill(open_store(database), *(finding(id) for id in ids), to=to)


def soon(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()


def hanging(release: threading.Event) -> Callable[[Sequence[Delivery]], None]:
    def behave(deliveries: Sequence[Delivery]) -> None:
        release.wait(10)

    return behave


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return new_database(tmp_path)[0]


def test_what_is_queued_at_the_start_and_later_is_delivered(database: Path) -> None:
    sink = FakeSink()
    queue(database, "a")
    deliverer = Deliverer(database, [sink])
    deliverer.start()
    first = soon(lambda: sink.taken == ["a#1"])
    queue(database, "b")
    deliverer.wake()
    second = soon(lambda: sink.taken == ["a#1", "b#1"])
    busy = deliverer.stop()
    assert (True, True, [], True) == (first, second, busy, sink.closed)


def test_a_slow_destination_does_not_delay_another(database: Path) -> None:
    release = threading.Event()
    slow = FakeSink("slow", hanging(release))
    quick = FakeSink("quick")
    queue(database, "a", "b", to=("slow", "quick"))
    deliverer = Deliverer(database, [slow, quick])
    started = time.monotonic()
    deliverer.start()
    done = soon(lambda: len(quick.taken) == 2)
    took = time.monotonic() - started
    waiting = deliverer.status()["slow"].waiting
    release.set()
    deliverer.stop()
    assert (True, True, 2) == (done, took < 1, waiting)


def test_stopping_delivers_what_waits_first(database: Path) -> None:
    sink = FakeSink()
    deliverer = Deliverer(database, [sink])
    deliverer.start()
    ids = [f"f{number:02}" for number in range(35)]
    queue(database, *ids)
    deliverer.stop()
    assert [f"{id}#1" for id in ids] == sink.taken


def test_stopping_waits_for_no_pause(database: Path) -> None:
    def busy(deliveries: Sequence[Delivery]) -> None:
        raise RetryLater("busy", 300.0)

    sink = FakeSink("siem", busy)
    queue(database, "a")
    deliverer = Deliverer(database, [sink])
    deliverer.start()
    tried = soon(lambda: len(sink.tries) == 1)
    started = time.monotonic()
    left = deliverer.stop(5)
    assert (True, [], True) == (tried, left, time.monotonic() - started < 2)
    assert 1 == status(database)["siem"].waiting


def test_a_destination_that_hangs_does_not_hang_the_stop(database: Path) -> None:
    release = threading.Event()
    queue(database, "a")
    sink = FakeSink("siem", hanging(release))
    deliverer = Deliverer(database, [sink])
    deliverer.start()
    soon(lambda: len(sink.tries) == 1)
    busy = deliverer.stop(0.05)
    release.set()
    assert (["siem"], False) == (busy, sink.closed)


def test_the_status_says_how_each_destination_stands(database: Path) -> None:
    def fault(deliveries: Sequence[Delivery]) -> None:
        raise RetryLater("HTTP 401", operator=True)

    told = threading.Event()
    queue(database, "a", to=("siem", "soc"))
    broken = FakeSink("siem", fault)
    deliverer = Deliverer(
        database, [broken, FakeSink("soc")], on_fault=lambda name, reason: told.set()
    )
    deliverer.start()
    soon(lambda: told.is_set() and deliverer.status()["siem"].last_error != "")
    deliverer.stop()
    queue(database, "b")
    expected = {
        "siem": Status(held=2, on_hold="HTTP 401", last_error="HTTP 401"),
        "soc": Status(delivered=1),
    }
    assert expected == deliverer.status()
    assert {"waiting": 0, "held": 2, "dead": 0, "delivered": 0} == deliverer.counts()["siem"]


def test_two_destinations_of_one_name_are_refused(database: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        Deliverer(database, [FakeSink("siem"), FakeSink("siem")])


@pytest.mark.process
def test_a_process_killed_between_send_and_record_sends_the_same_keys_again(
    database: Path, tmp_path: Path
) -> None:
    queue(database, "a", "b")
    sent = tmp_path / "sent"

    def run(how: str) -> int:
        command = [sys.executable, "-c", CRASH, str(database), str(sent), how]
        return subprocess.run(command, check=False, capture_output=True).returncode

    codes = (run("crash"), run("fine"))
    assert ((137, 0), ["a#1", "b#1"] * 2) == (codes, sent.read_text().split())
    assert Status(delivered=2) == status(database)["siem"]
