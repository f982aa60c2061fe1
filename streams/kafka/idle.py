"""When a partition of `events` may be called idle: its owner has all that the broker has, surely.

To call one idle that is not makes its next events seem newer than they are. So the broker's answer
has to be young, and how young it is cannot be told from when it was read: it may have waited for a
process that was stopped, or on its way. But it was asked for after the answer before it was read.
"""

from streams.kafka.slab import End

FRESH_MS = 1_500  # between two answers, and since the last; a fetch that finds nothing takes 100 ms


class Idle:
    """What is known of one partition.

    Args:
        after_s: a partition that has no more for so long is idle.
        now: monotonic clock, s.
    """

    def __init__(self, after_s: float, now: float) -> None:
        self._after_s = after_s
        self._asked_ms = self._answered_ms = 0  # the newest answer: not asked for before, and read
        self._stands, self._since = (-1, -1), now

    def moved(self, now: float) -> None:
        """There was a record."""
        self._since = now

    def since(self, seen: End, expect: int, now: float, wall_ms: float) -> int | None:
        """Wall clock, ms, since when it is certain that there is nothing more; None: it is not.

        Where a partition ends with marks of transactions, its last record is before its end; what
        was fetched and what was handed over must then stand still together.

        Args:
            seen: what the broker last said.
            expect: offset of the next record to route.
            now: monotonic clock, s.
        """
        if seen.when_ms != self._answered_ms:
            self._asked_ms, self._answered_ms = self._answered_ms, seen.when_ms
        if (seen.position, expect) != self._stands:
            self._stands, self._since = (seen.position, expect), now
        routed = expect >= seen.end or (seen.position >= seen.end and expect == seen.delivered + 1)
        young = self._answered_ms - self._asked_ms <= FRESH_MS
        young = young and wall_ms - self._answered_ms <= FRESH_MS
        return self._asked_ms if routed and young and now - self._since >= self._after_s else None
