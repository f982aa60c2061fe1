"""How far a partition is done: what was read, and everything that followed from it has arrived."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any


class Progress:
    """Positions of one partition, each with what still has to arrive for it.

    >>> progress = Progress(3)
    >>> progress.note(7, []); progress.done
    7
    """

    def __init__(self, done: int | None = None) -> None:
        self._done = done
        self._waiting: deque[tuple[int, Sequence[asyncio.Future[Any]]]] = deque()

    def note(self, position: int, sent: Sequence["asyncio.Future[Any]"]) -> None:
        """Before `position` nothing is left to do once these have arrived."""
        self._waiting.append((position, sent))

    @property
    def done(self) -> int | None:
        """The offset before which everything is done.

        Raises:
            Exception: what went wrong with something that was sent.
        """
        while self._waiting and all(one.done() for one in self._waiting[0][1]):
            position, sent = self._waiting.popleft()
            for one in sent:
                one.result()
            self._done = position
        return self._done

    def promises(self) -> list["asyncio.Future[Any]"]:
        """Everything that was sent and may not have arrived yet."""
        return [one for _, sent in self._waiting for one in sent]

    @property
    def waiting(self) -> int:
        """Positions that are not done."""
        return len(self._waiting)
