"""Findings appended to a file, one OCSF record a line, on the disk before they count as told."""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from alerts.base import Delivery, RetryLater
from alerts.destination_base import DestinationSettings, Place
from alerts.ocsf import body_of
from alerts.ocsf_fit import encoded

MAX_LINE = 8 * 2**20  # bytes; an end without a newline longer than this is not ours

_START = b'{"activity_id":'  # of every line
_PASSES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EINTR)


class FileSettings(DestinationSettings):
    """Findings appended to a file, one OCSF record a line."""

    type: Literal["file"]
    path: Path = Field(description="the file; made (mode 0600) when missing")

    def sink(self, name: str, place: Place) -> "FileSink":
        """Its sink."""
        return FileSink(name, place.base / self.path)


class FileSink:
    """One file, written by this process alone.

    A half-written last line, left by a crash, is taken away before the next one is added: it was
    never acknowledged, so its finding comes again. A file that was rotated away is made anew.
    """

    batch: ClassVar[int] = 500

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._file: int | None = None

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Appends a line each and waits until the disk has them.

        Raises:
            RetryLater: the disk is full, or the path cannot be written.
        """
        data = b"".join(encoded(body_of(each)) + b"\n" for each in deliveries)
        try:
            self._append(data)
        except OSError as error:
            self.close()
            reason = f"{self._path}: {error.strerror or type(error).__name__}"
            raise RetryLater(reason, operator=error.errno not in _PASSES) from None

    def probe(self) -> str:
        """Whether it could be written, without writing.

        Raises:
            RetryLater: it could not.
        """
        folder = self._path.parent
        if self._path.exists() and not self._path.is_file():
            raise RetryLater(f"{self._path}: is not a regular file", operator=True)
        if not os.access(self._path if self._path.exists() else folder, os.W_OK):
            why = "may not be written" if folder.is_dir() else "its folder is missing"
            raise RetryLater(f"{self._path}: {why}", operator=True)
        return f"{self._path} can be written"

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, data: bytes) -> None:
        if self._file is not None and self._moved(self._file):
            self.close()
        if self._file is None:
            self._file = self._open()
        size = os.fstat(self._file).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, size)  # no half lines, whatever happened
            raise

    def _moved(self, file: int) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(file)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(errno.EBUSY, "another process writes to it") from None
            _repair(file)
            _sync_folder(self._path.parent)
        except OSError:
            os.close(file)
            raise
        return file


def _repair(file: int) -> None:
    """Takes away what follows the last newline, if it is the beginning of a line of ours."""
    size = os.fstat(file).st_size
    start = max(0, size - MAX_LINE)
    tail = os.pread(file, size - start, start)
    keep = tail.rfind(b"\n") + 1
    torn = tail[keep:].rstrip(b"\0")  # a power cut may leave zeros
    if (keep == 0 and start > 0) or not (torn.startswith(_START) or _START.startswith(torn)):
        raise OSError(errno.EINVAL, "ends in something that is no finding; choose another path")
    if keep < len(tail):
        os.ftruncate(file, start + keep)
        os.fsync(file)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
