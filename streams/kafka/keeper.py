"""Makes snapshots beside the judging: a forked child writes them down while the parent goes on.

Copying a large state would stop a worker for seconds. A fork stops it for as long as the page
tables take (about 10 ms a gigabyte); the child sees the state as it was, cuts and packs what has
changed, hands it over through a pipe, and ends.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from streams.kafka.chunks import packed

CHILD_S = 300.0  # a child that needs longer is ended
_LENGTH = 8

Chunks = list[tuple[bytes, bytes | None]]


class SnapshotFailed(Exception):
    """The child did not finish; the next try may."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One state to write down.

    Attributes:
        state: gives its bytes; called in the child.
        written: hashes of chunks that need not come again.
    """

    state: Callable[[], bytes]
    written: set[bytes]


class Packed(msgspec.Struct, array_like=True):
    """What came back for one state: its chunks, and its size in bytes."""

    chunks: Chunks
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The states in the order in which they were wanted, and how long judging stood still."""

    states: list[Packed]
    paused_s: float


async def take(wanted: Sequence[Wanted]) -> Taken:
    """The states as they are now.

    Raises:
        SnapshotFailed: the child ended early.
    """
    reading, writing = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(reading, writing, wanted)
    paused_s = time.monotonic() - begun
    os.close(writing)
    loop = asyncio.get_running_loop()
    try:
        data = await asyncio.wait_for(loop.run_in_executor(None, _read, reading), CHILD_S)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        await loop.run_in_executor(None, os.waitpid, child, 0)
    if len(data) != len(wanted):
        raise SnapshotFailed(f"{len(data)} of {len(wanted)} states were written down")
    return Taken([msgspec.msgpack.decode(one, type=Packed) for one in data], paused_s)


def _child(reading: int, writing: int, wanted: Sequence[Wanted]) -> None:
    """Never returns; touches nothing that other threads of the parent may hold."""
    code = 1
    try:
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            for one in wanted:
                data = one.state()
                blob = msgspec.msgpack.encode(Packed(packed(data, one.written), len(data)))
                out.write(len(blob).to_bytes(_LENGTH, "big"))
                out.write(blob)
        code = 0
    finally:
        os._exit(code)


def _read(reading: int) -> list[bytes]:
    found = []
    with os.fdopen(reading, "rb") as source:
        while len(head := source.read(_LENGTH)) == _LENGTH:
            size = int.from_bytes(head, "big")
            blob = source.read(size)
            if len(blob) < size:
                break
            found.append(blob)
    return found
