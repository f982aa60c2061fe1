"""The outbox's rows."""

import sqlite3
from pathlib import Path

import pytest

import alerts.outbox as module
from alerts.database import transaction
from alerts.outbox import Outbox, OutboxFull, Row
from tests.alerts_fakes import finding, new_database


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return new_database(tmp_path)[1]


def queue(connection: sqlite3.Connection, *ids: str, to: tuple[str, ...] = ("siem",)) -> None:
    with transaction(connection):
        Outbox.enqueue(connection, [finding(id) for id in ids], to)


def keys(rows: list[Row]) -> list[str]:
    return [row.key for row in rows]


def bodies(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM outbox_bodies").fetchone()[0])


def test_rows_come_out_in_the_order_they_went_in(connection: sqlite3.Connection) -> None:
    queue(connection, "b", "a", "c")
    assert ["b#1", "a#1"] == keys(Outbox(connection).pending("siem", 2))


def test_the_finding_comes_out_as_it_went_in(connection: sqlite3.Connection) -> None:
    queue(connection, "a")
    assert finding("a") == Outbox(connection).pending("siem", 1)[0].delivery().finding


def test_a_rolled_back_transaction_queues_nothing(connection: sqlite3.Connection) -> None:
    def fail() -> None:
        with transaction(connection):
            Outbox.enqueue(connection, [finding()], ["siem"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ({}, 0) == (Outbox(connection).counts(), bodies(connection))


def test_a_finding_queued_twice_is_there_once(connection: sqlite3.Connection) -> None:
    queue(connection, "a")
    queue(connection, "a")
    assert ["a#1"] == keys(Outbox(connection).pending("siem", 9))


def test_a_finding_that_comes_again_after_delivery_stays_delivered(
    connection: sqlite3.Connection,
) -> None:
    outbox = Outbox(connection)
    queue(connection, "a")
    outbox.delivered("siem", outbox.pending("siem", 9))
    queue(connection, "a")
    assert ([], 0) == (outbox.pending("siem", 9), bodies(connection))


def test_each_destination_has_its_own_row(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a", to=("siem", "soc"))
    outbox.delivered("siem", outbox.pending("siem", 9))
    assert ([], ["a#1"]) == (keys(outbox.pending("siem", 9)), keys(outbox.pending("soc", 9)))


def test_a_body_goes_when_everyone_has_it(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a", to=("siem", "soc"))
    outbox.delivered("siem", outbox.pending("siem", 9))
    before = bodies(connection)
    outbox.delivered("soc", outbox.pending("soc", 9))
    assert (1, 0) == (before, bodies(connection))


def test_counts_follow_every_change(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a", "b", "c", "d")
    a, b, c, _ = outbox.pending("siem", 9)
    outbox.delivered("siem", [a])
    outbox.bury(b, "no")
    outbox.postpone([c], 0, "busy", held=True)
    counted = dict(
        connection.execute(
            "SELECT state, count(*) FROM outbox WHERE destination = 'siem' GROUP BY state"
        ).fetchall()
    )
    assert counted == outbox.counts()["siem"]
    assert {"waiting": 1, "held": 1, "delivered": 1, "dead": 1} == counted


def test_a_full_destination_stops_the_feeder_and_drops_nothing(
    connection: sqlite3.Connection,
) -> None:
    queue(connection, "a", "b")
    with pytest.raises(OutboxFull, match="'siem'"), transaction(connection):
        Outbox.enqueue(connection, [finding("c")], ["siem"], limit=2)
    assert ["a#1", "b#1"] == keys(Outbox(connection).pending("siem", 9))


def test_there_is_room_again_once_a_row_was_delivered(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a", "b")
    outbox.delivered("siem", outbox.pending("siem", 1))
    with transaction(connection):
        Outbox.enqueue(connection, [finding("c")], ["siem"], limit=2)
    assert ["b#1", "c#1"] == keys(outbox.pending("siem", 9))


def test_a_full_outbox_looks_like_a_full_disk_to_the_feeder() -> None:
    assert isinstance(OutboxFull("siem", 1), OSError)


def test_proof_of_delivery_is_kept_within_a_bound(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DELIVERED", 2)
    outbox = Outbox(connection)
    queue(connection, "a", "b", "c")
    outbox.delivered("siem", outbox.pending("siem", 9))
    left = [row[0] for row in connection.execute("SELECT key FROM outbox ORDER BY number")]
    assert (["b#1", "c#1"], 2) == (left, outbox.counts()["siem"]["delivered"])


def test_a_dead_letter_says_why_and_keeps_its_body(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a")
    outbox.bury(outbox.pending("siem", 1)[0], "HTTP 400: too odd")
    (letter,) = outbox.dead_letters()
    assert ("siem", "a#1", "HTTP 400: too odd", 1) == (
        letter.destination, letter.key, letter.reason, letter.attempts,
    )  # fmt: skip
    assert finding("a").to_json() == letter.body


def test_a_retried_dead_letter_goes_to_its_old_place(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a", "b")
    outbox.bury(outbox.pending("siem", 1)[0], "no")
    retried = outbox.retry_dead([each.number for each in outbox.dead_letters()])
    assert (1, ["a#1", "b#1"]) == (retried, keys(outbox.pending("siem", 9)))


def test_only_dead_letters_are_retried_or_discarded(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a")
    number = outbox.pending("siem", 1)[0].number
    assert (0, 0) == (outbox.retry_dead([number]), outbox.discard_dead([number]))
    assert ["a#1"] == keys(outbox.pending("siem", 9))


def test_a_discarded_dead_letter_leaves_nothing(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a")
    outbox.bury(outbox.pending("siem", 1)[0], "no")
    done = outbox.discard_dead([each.number for each in outbox.dead_letters("siem")])
    assert (1, [], 0) == (done, outbox.dead_letters(), bodies(connection))


def test_a_reason_holds_no_secret_and_is_short(connection: sqlite3.Connection) -> None:
    outbox = Outbox(connection)
    queue(connection, "a")
    guid = "11111111-2222-3333-4444-555555555555"
    secret = f"xoxb-1-abc https://me:pw@h/ {guid}\x1b[2J\n"
    outbox.postpone(outbox.pending("siem", 1), 0, secret + "x" * 1000, held=False)
    reason = outbox.last_error("siem")
    assert "*** https://***h/ ***" == reason[:21]
    assert (300, True) == (len(reason), reason.isprintable())


def test_looking_for_work_does_not_read_what_is_done(connection: sqlite3.Connection) -> None:
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT number FROM outbox"
        " WHERE destination = 'siem' AND state IN ('waiting', 'held') ORDER BY number LIMIT 9"
    ).fetchall()
    assert [True] == ["outbox_pending" in step[3] for step in plan]
