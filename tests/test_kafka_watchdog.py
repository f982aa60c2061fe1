"""The watchdog tells a stuck worker from a busy or idle one; and other small parts of a worker."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.kafka.instance import instance
from streams.kafka.keeper import SnapshotFailed, Wanted, take
from streams.kafka.progress import Progress
from streams.kafka.reading import Next, Reading
from streams.kafka.watchdog import Watchdog, stacks


def watchdog(state: SimpleNamespace) -> Watchdog:
    loop: Any = None
    return Watchdog(lambda: state.waits, lambda: state.moved, 30, loop)


def test_work_that_waits_while_nothing_moves_for_the_budget_is_stuck() -> None:
    state = SimpleNamespace(waits=True, moved=0.0)
    dog = watchdog(state)

    assert not dog.look(100)  # it waits since now
    assert not dog.look(129)
    assert dog.look(131)


def test_a_worker_that_gets_on_or_has_nothing_to_do_is_not_stuck() -> None:
    state = SimpleNamespace(waits=True, moved=0.0)
    dog = watchdog(state)
    dog.look(100)
    state.moved = 125.0

    assert not dog.look(131)
    state.waits = False
    assert not dog.look(500)
    state.waits = True
    assert not dog.look(520)


def test_the_dump_names_where_every_task_stands() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    async def run() -> str:
        task = asyncio.create_task(waits_for_ever(), name="the-stuck-one")
        await asyncio.sleep(0)
        told = stacks(asyncio.get_running_loop())
        task.cancel()
        return told

    told = asyncio.run(run())

    assert "task the-stuck-one" in told
    assert "waits_for_ever" in told


def test_a_position_is_done_when_everything_before_it_has_arrived() -> None:
    async def run() -> list[int | None]:
        progress, seen = Progress(), []
        one: asyncio.Future[None] = asyncio.Future()
        progress.note(5, [one])
        progress.note(9, [])
        seen.append(progress.done)
        one.set_result(None)
        seen.append(progress.done)
        return seen

    assert [None, 9] == asyncio.run(run())


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset)


def test_a_slab_that_begins_too_late_is_read_again_and_only_then_believed() -> None:
    reading = Reading(expect=3)

    assert (Next.PASS, []) == reading.look([record(1), record(2)], 0)
    assert Next.REWIND is reading.look([record(5)], 0)[0]
    reading.turn = 1  # the partition was rewound
    assert Next.PASS is reading.look([record(6)], 0)[0]  # fetched before that
    assert [3, 4] == [one.offset for one in reading.look([record(2), record(3), record(4)], 1)[1]]
    reading.expect = 5
    assert Next.REWIND is reading.look([record(8)], 1)[0]
    assert Next.REWIND is reading.look([record(8)], 2)[0]
    assert Next.GAP is reading.look([record(8)], 3)[0]


def test_old_slabs_that_come_after_a_rewind_are_no_gap() -> None:
    reading = Reading(expect=5)

    for late in (9, 11, 7, 12, 9):
        assert Next.REWIND is reading.look([record(late)], 0)[0]
    assert Next.REWIND is reading.look([record(9)], 0)[0]
    assert Next.TAKE is reading.look([record(5)], 0)[0]
    reading.expect = 5  # wanted again
    assert Next.REWIND is reading.look([record(9)], 0)[0]


def test_a_forked_child_hands_over_the_state_as_it_was() -> None:
    state = bytearray(b"before" * 50_000)

    async def run() -> Any:
        taking = asyncio.ensure_future(take([Wanted(lambda: bytes(state), set())]))
        await asyncio.sleep(0)  # forked by now
        state[:5] = b"after"
        return await taking

    taken = asyncio.run(run())

    assert [300_000] == [one.size for one in taken.states]
    assert taken.paused_s < 0.2


def test_a_child_that_fails_is_told() -> None:
    with pytest.raises(SnapshotFailed):
        asyncio.run(take([Wanted(lambda: bytes(1 // 0), set())]))


def test_workers_of_one_folder_have_different_names_that_stay(tmp_path: Path) -> None:
    with instance(tmp_path) as first, instance(tmp_path) as second:
        assert first != second
    with instance(tmp_path) as again:
        assert first == again
