"""Judges recorded events: files of any known format, merged as if they arrived together."""

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import zstandard

from schemas.adapters import Context, adapt, chunks, detect
from schemas.adapters.canonical import is_clean
from schemas.reader import TIMESTAMP, Reader
from streams.pipeline import CoreSettings, Output, Pipeline
from streams.quarantine import Refused

SNIFF_BYTES = 1 << 16
BLOCK_LINES = 1000
SLACK_MS = 500  # at least a second is always allowed
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"


@dataclass(slots=True)
class Recording:
    """One file, as canonical blocks.

    Attributes:
        name: as the user wrote it.
        read_bytes: how much of the file was read so far, for progress.
        ignored: records that are no model or tool calls.
    """

    name: str
    context: Callable[[], Context]
    format: str = "auto"
    quarantine: Callable[[Refused], None] = lambda refused: None
    read_bytes: int = 0
    ignored: int = 0
    rejected: int = 0
    line: int = field(default=0, repr=False)

    def blocks(self) -> Iterator[bytes]:
        """Canonical NDJSON in blocks; what cannot be read is quarantined and passed over.

        Raises:
            OSError: the file cannot be read.
            UnknownFormat: nobody knows what it is.
        """
        with self._open() as stream:
            body = io.BufferedReader(stream, SNIFF_BYTES)
            head = body.peek(SNIFF_BYTES)
            if head[:4] == PARQUET:
                yield from self._parquet(body)
                return
            if not head.strip():
                return
            format = detect(head) if self.format == "auto" else self.format
            for number, chunk in enumerate(chunks(body, format)):
                if format == "canonical" and is_clean(chunk):
                    yield chunk
                    self.line += chunk.count(b"\n")
                    continue
                yield self._adapted(chunk, format, number)

    def _open(self) -> Any:
        raw: Any = sys.stdin.buffer if self.name == "-" else open(self.name, "rb")  # noqa: SIM115
        counted = io.BufferedReader(_Counted(raw, self), SNIFF_BYTES)
        head = counted.peek(4)[:4]
        if head.startswith(GZIP):
            return gzip.GzipFile(fileobj=counted)
        if head == ZSTD:
            return zstandard.ZstdDecompressor().stream_reader(counted)
        return counted

    def _adapted(self, chunk: bytes, format: str, number: int) -> bytes:
        result = adapt(chunk, format, self.context())
        self.ignored += result.ignored
        self.rejected += sum(one.count for one in result.rejections)
        for one in result.rejections:
            at = (
                f"{self.name}:{self.line + one.index + 1}"
                if format == "canonical"
                else (f"{self.name}, document {number + 1}, record {one.index + 1}")
            )
            self.quarantine(Refused(self.name, at, format, one.field, one.reason, one.raw))
        self.line += chunk.count(b"\n")
        return b"\n".join(result.events)

    def _parquet(self, body: IO[bytes]) -> Iterator[bytes]:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            need = "reading Parquet needs `pip install '.[reports]'`"
            raise OSError(f"{self.name}: {need}") from None
        table = parquet.ParquetFile(io.BytesIO(body.read()))
        for batch in table.iter_batches(BLOCK_LINES):
            rows = [
                {key: value for key, value in row.items() if value is not None}
                for row in batch.to_pylist()
            ]
            lines = b"\n".join(msgspec.json.encode(row) for row in rows)
            yield self._adapted(lines, "canonical", 0)


class _Counted(io.RawIOBase):
    """Passes bytes on and counts them."""

    def __init__(self, stream: Any, recording: Recording) -> None:
        self._stream, self._recording = stream, recording

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer)) or b""
        buffer[: len(data)] = data
        self._recording.read_bytes += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a recording; `first` is the number of its first line, from 0."""

    recording: Recording
    block: bytes
    first: int
    lines: int = BLOCK_LINES


def merged(recordings: list[Recording]) -> Iterator[Piece]:
    """Blocks of several recordings in the order of their clocks.

    The recording whose clock (its largest event time so far) is behind goes on first, so that none
    makes another's events late; it may run ahead by `SLACK_MS`, far less than the lateness.
    """
    if len(recordings) == 1:
        for block in recordings[0].blocks():
            yield Piece(recordings[0], block, recordings[0].line)
        return
    waiting = [one for one in map(_Head, recordings) if one.more()]
    while waiting:
        waiting.sort(key=lambda head: head.clock)
        first = waiting[0]
        until = waiting[1].clock + SLACK_MS if len(waiting) > 1 else None
        yield first.take(until)
        if not first.more():
            waiting.pop(0)


class _Head:
    """The next lines of one recording, with the clock after each."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._blocks = recording.blocks()
        self._reader = Reader()
        self._lines: list[bytes] = []
        self._first = 0
        self._clocks = np.zeros(0, np.int64)
        self._newest = -(2**62)

    @property
    def clock(self) -> int:
        return int(self._clocks[0])

    def more(self) -> bool:
        """Whether there is a line; reads on if need be."""
        while not self._lines:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._lines = block.removesuffix(b"\n").split(b"\n")
            self._first = self.recording.line
            times = self._times(block)
            if len(times):
                self._clocks = np.maximum(np.maximum.accumulate(times), self._newest)
                self._newest = int(self._clocks[-1])
        return True

    def take(self, until: int | None) -> Piece:
        """The lines up to where the clock passes `until`, one at least."""
        count = len(self._lines)
        if until is not None:
            count = max(1, int(np.searchsorted(self._clocks, until, "right")))
        taken, self._lines = self._lines[:count], self._lines[count:]
        self._clocks = self._clocks[count:]
        self._first += count
        return Piece(self.recording, b"\n".join(taken), self._first - count, count)

    def _times(self, block: bytes) -> Any:
        """The event time of each line; a line that is no event counts as the one before it."""
        read = self._reader.read(block)
        if len(read.places) == len(self._lines):
            return read.values[TIMESTAMP].copy()
        times = dict(zip(read.places.tolist(), read.values[TIMESTAMP].tolist(), strict=True))
        newest, found, place = self._newest, [], 0
        for line in self._lines:
            if line.strip():
                newest = times.get(place, newest)
                place += 1
            found.append(newest)
        return np.array(found, np.int64)


@dataclass(slots=True)
class Replay:
    """Recordings on their way through a pipeline."""

    recordings: list[Recording]
    settings: CoreSettings
    close: bool = False
    pipeline: Pipeline = field(init=False)

    def run(self) -> Iterator[Output]:
        """What each block brought to light; rejected lines are quarantined with their place."""
        self.pipeline = pipeline = Pipeline(self.settings)
        for pieces in grouped(merged(self.recordings)):
            begun = pipeline.position
            output = pipeline.process(b"\n".join(piece.block for piece in pieces))
            if output.rejections:
                _quarantine(pieces, begun, output)
            yield output
        yield pipeline.finish()
        if self.close:
            yield pipeline.close()

    @property
    def read_bytes(self) -> int:
        """How much of all files was read."""
        return sum(recording.read_bytes for recording in self.recordings)

    def summary(self, findings: int, seconds: float) -> dict[str, Any]:
        """What became of everything."""
        stats = self.pipeline.stats
        rejected = stats.rejected + sum(recording.rejected for recording in self.recordings)
        return {
            "events": stats.events,
            "ignored": sum(recording.ignored for recording in self.recordings),
            "rejected": rejected,
            "duplicates": stats.duplicates + stats.merged,
            "late": stats.late,
            "open_windows": stats.open_windows,
            "findings": findings,
            "seconds": round(seconds, 3),
            "events_per_second": round(stats.events / seconds) if seconds > 0 else 0,
            "judged": stats.judged,
            "conflicts": stats.conflicts,
            "merged": stats.merged,
            "hidden": stats.hidden,
        }


def grouped(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Pieces together until they are worth a block."""
    group: list[Piece] = []
    lines = 0
    for piece in pieces:
        group.append(piece)
        lines += piece.lines
        if lines >= BLOCK_LINES:
            yield group
            group, lines = [], 0
    if group:
        yield group


def _quarantine(pieces: list[Piece], begun: int, output: Output) -> None:
    places = [
        (piece.recording, f"{piece.recording.name}:{piece.first + number}")
        for piece in pieces
        for number, line in enumerate(piece.block.split(b"\n"), 1)
        if line.strip()
    ]
    for one in output.rejections:
        at = one.position - begun
        if 0 <= at < len(places):
            recording, place = places[at]
        else:  # an event that waited for a witness is of an earlier block
            recording, place = pieces[0].recording, f"event {one.position + 1}"
        refused = Refused(recording.name, place, "canonical", one.field, one.reason, one.raw)
        recording.quarantine(refused)


def file_bytes(names: list[str]) -> int | None:
    """Size of all files, or None when one is standard input."""
    return None if "-" in names else sum(Path(name).stat().st_size for name in names)
