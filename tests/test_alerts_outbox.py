"""The outbox's rows."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, event

import alerts.outbox as module
from alerts.outbox import Outbox, Row
from alerts.outbox_queue import Queue
from alerts.store_engine import writing
from tests.alerts_fakes import Everyone, finding, new_database, sql
from tests.alerts_fakes import queue as fill


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return new_database(tmp_path)[1]


def queue(engine: Engine, *ids: str, to: tuple[str, ...] = ("siem",)) -> None:
    fill(engine, *(finding(id) for id in ids), to=to)


def keys(rows: list[Row]) -> list[str]:
    return [row.key for row in rows]


def bodies(engine: Engine) -> int:
    return int(sql(engine, "SELECT count(*) FROM outbox_bodies")[0][0])


def test_rows_come_out_in_the_order_they_went_in(engine: Engine) -> None:
    queue(engine, "b", "a", "c")
    assert ["b#1", "a#1"] == keys(Outbox(engine).pending("siem", 2))


def test_the_finding_comes_out_as_it_went_in(engine: Engine) -> None:
    queue(engine, "a")
    assert finding("a") == Outbox(engine).pending("siem", 1)[0].delivery().finding


def test_a_rolled_back_transaction_queues_nothing(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            queue = Queue(connection, Everyone(), 0.0)
            queue.findings([(1, finding())])
            queue.finish()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ({}, 0) == (Outbox(engine).counts(), bodies(engine))


def test_a_finding_queued_twice_is_there_once(engine: Engine) -> None:
    queue(engine, "a")
    queue(engine, "a")
    assert ["a#1"] == keys(Outbox(engine).pending("siem", 9))


def test_a_finding_that_comes_again_after_delivery_stays_delivered(
    engine: Engine,
) -> None:
    outbox = Outbox(engine)
    queue(engine, "a")
    outbox.delivered("siem", outbox.pending("siem", 9))
    queue(engine, "a")
    assert ([], 0) == (outbox.pending("siem", 9), bodies(engine))


def test_each_destination_has_its_own_row(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a", to=("siem", "soc"))
    outbox.delivered("siem", outbox.pending("siem", 9))
    assert ([], ["a#1"]) == (keys(outbox.pending("siem", 9)), keys(outbox.pending("soc", 9)))


def test_a_body_goes_when_everyone_has_it(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a", to=("siem", "soc"))
    outbox.delivered("siem", outbox.pending("siem", 9))
    before = bodies(engine)
    outbox.delivered("soc", outbox.pending("soc", 9))
    assert (1, 0) == (before, bodies(engine))


def test_counts_follow_every_change(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a", "b", "c", "d")
    a, b, c, _ = outbox.pending("siem", 9)
    outbox.delivered("siem", [a])
    outbox.bury("siem", b, "no")
    outbox.postpone("siem", [c], 0, "busy", held=True)
    grouped = "SELECT state, count(*) FROM outbox WHERE destination = 'siem' GROUP BY state"
    counted = dict(sql(engine, grouped))
    assert counted == outbox.counts()["siem"]
    assert {"waiting": 1, "held": 1, "delivered": 1, "dead": 1} == counted


def test_proof_of_delivery_is_kept_within_a_bound(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DELIVERED", 2)
    outbox = Outbox(engine)
    queue(engine, "a", "b", "c")
    outbox.delivered("siem", outbox.pending("siem", 9))
    left = [row[0] for row in sql(engine, "SELECT key FROM outbox ORDER BY number")]
    assert (["b#1", "c#1"], 2) == (left, outbox.counts()["siem"]["delivered"])


def test_a_dead_letter_says_why_and_keeps_its_body(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a")
    outbox.bury("siem", outbox.pending("siem", 1)[0], "HTTP 400: too odd")
    (letter,) = outbox.dead_letters()
    assert ("siem", "a#1", "HTTP 400: too odd", 1) == (
        letter.destination, letter.key, letter.reason, letter.attempts,
    )  # fmt: skip
    assert finding("a").to_json() == letter.body


def test_a_retried_dead_letter_goes_to_its_old_place(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a", "b")
    outbox.bury("siem", outbox.pending("siem", 1)[0], "no")
    retried = outbox.retry_dead([each.number for each in outbox.dead_letters()])
    assert (1, ["a#1", "b#1"]) == (retried, keys(outbox.pending("siem", 9)))


def test_only_dead_letters_are_retried_or_discarded(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a")
    number = outbox.pending("siem", 1)[0].number
    assert (0, 0) == (outbox.retry_dead([number]), outbox.discard_dead([number]))
    assert ["a#1"] == keys(outbox.pending("siem", 9))


def test_a_discarded_dead_letter_leaves_nothing(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a")
    outbox.bury("siem", outbox.pending("siem", 1)[0], "no")
    done = outbox.discard_dead([each.number for each in outbox.dead_letters("siem")])
    assert (1, [], 0) == (done, outbox.dead_letters(), bodies(engine))


def test_a_reason_holds_no_secret_and_is_short(engine: Engine) -> None:
    outbox = Outbox(engine)
    queue(engine, "a")
    guid = "11111111-2222-3333-4444-555555555555"
    secret = f"xoxb-1-abc https://me:pw@h/ {guid}\x1b[2J\n"
    outbox.postpone("siem", outbox.pending("siem", 1), 0, secret + "x" * 1000, held=False)
    reason = outbox.last_error("siem")
    assert "*** https://***h/ ***" == reason[:21]
    assert (300, True) == (len(reason), reason.isprintable())


def test_looking_for_work_does_not_read_what_is_done(engine: Engine) -> None:
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *a: seen.append(str(a[2])))
    outbox = Outbox(engine)
    outbox.pending("siem", 9)
    outbox.last_error("siem")
    looks = [statement for statement in seen if statement.startswith("SELECT")]
    plans = [sql(engine, "EXPLAIN QUERY PLAN " + _filled(look)) for look in looks]
    first = [plan[0][3] for plan in plans]
    assert [True, True] == ["outbox_pending" in step for step in first]
    assert [] == [step for plan in plans for *_, step in plan if "TEMP B-TREE" in step]


def _filled(statement: str) -> str:
    return statement.replace("?", "'siem'", 1).replace("?", "9")
