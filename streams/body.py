"""Reads a request's body within limits: bytes as sent, bytes after gunzip, bytes at once."""

import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

HEAD_BYTES = 2**16  # of a refused body, as received, that are kept
INFLATE_STEP = 2**18  # output of one call, so that a bomb is noticed early
MAX_MEMBERS = 4096  # gzip streams one after another; an empty one is 20 bytes and 5 us of work
GZIP = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """The body is not taken.

    Attributes:
        status: HTTP status code that says why.
        head: the first bytes as received, for the quarantine.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.head = b""


@dataclass
class Budget:
    """Bytes of bodies that may be held at once by all requests together."""

    limit: int
    used: int = 0

    def take(self, count: int) -> None:
        """Reserves, or says 503."""
        if self.used + count > self.limit:
            raise BodyError(503, "too much is being received at once; try again")
        self.used += count

    def give(self, count: int) -> None:
        """Gives back."""
        self.used -= count


class Inflater:
    """Bounded gunzip, also of several members one after another."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._made = 0
        self._stream = zlib.decompressobj(GZIP)
        self._members = 0

    def feed(self, data: bytes, take: Callable[[bytes], None]) -> None:
        """Hands inflated pieces to `take`.

        Raises:
            BodyError: 400 when it is not gzip or has too many members, 413 when it grows beyond
                the limit.
        """
        while data:
            if self._stream.eof or not self._members:
                self._members += 1
                self._stream = zlib.decompressobj(GZIP)
            if self._members > MAX_MEMBERS:
                raise BodyError(400, f"the body has more than {MAX_MEMBERS} gzip members")
            try:
                piece = self._stream.decompress(data, INFLATE_STEP)
            except zlib.error:
                raise BodyError(400, "the body is not valid gzip") from None
            self._made += len(piece)
            if self._made > self._limit:
                raise BodyError(413, f"the body inflates to more than {self._limit} bytes")
            if piece:
                take(piece)
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        """Raises BodyError (400) when the stream ended in the middle."""
        if not self._members or not self._stream.eof:
            raise BodyError(400, "the gzip body is truncated")


async def read_body(
    chunks: AsyncIterator[bytes],
    encoding: str,
    declared: str | None,
    *,
    max_body: int,
    max_inflated: int,
    budget: Budget,
) -> tuple[bytes, int]:
    """The body, and the bytes of the budget it holds (give them back when it is done with).

    Args:
        encoding: the Content-Encoding header.
        declared: the Content-Length header, if any.
    Raises:
        BodyError: with the status to answer.
    """
    if encoding not in ("", "identity", "gzip"):
        raise BodyError(415, "Content-Encoding must be gzip or identity")
    if declared is not None and declared.isdigit() and int(declared) > max_body:
        raise BodyError(413, f"the body is larger than {max_body} bytes")
    inflater = Inflater(max_inflated) if encoding == "gzip" else None
    parts: list[bytes] = []
    held = received = 0
    head = b""

    def take(piece: bytes) -> None:
        nonlocal held
        budget.take(len(piece))
        held += len(piece)
        parts.append(piece)

    try:
        async for chunk in chunks:
            received += len(chunk)
            head = head or chunk[:HEAD_BYTES]
            if received > max_body:
                raise BodyError(413, f"the body is larger than {max_body} bytes")
            if inflater is None:
                take(chunk)
            else:
                inflater.feed(chunk, take)
        if inflater is not None:
            inflater.finish()
    except BaseException as error:
        budget.give(held)
        if isinstance(error, BodyError):
            error.head = head
        raise
    return b"".join(parts), held
