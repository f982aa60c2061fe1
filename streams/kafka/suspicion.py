"""Finds the event that makes judging fail, so that it can be set aside and its shard goes on.

After a failure the shard begins again from its last snapshot. It judges what came since in small
blocks; the block that fails again it judges event by event the next time, and the event that fails
then is passed over from there on.
"""

from dataclasses import dataclass, field

from streams.kafka.routed import START, Events, Key

SMALL = 256  # events of a block in which one is suspected
MAX_SET_ASIDE = 1000  # events of one shard; more means that not the events are to blame
END: Key = (2**62, 0, 0)


class TooManyFail(Exception):
    """Judging fails for too many events; the worker has to end."""


@dataclass(slots=True)
class Suspicion:
    """What is suspected.

    Attributes:
        after, upto: keys between which an event is suspected.
        size: events of a block there.
        aside: keys of events that are passed over.
        trying: first and last key of the block that is being judged, and how many it has.
    """

    after: Key = END
    upto: Key = START
    size: int = SMALL
    aside: set[Key] = field(default_factory=set)
    trying: tuple[Key, Key, int] | None = None

    def block(self, events: Events, usual: int) -> int:
        """How many of these events to judge together."""
        usual = min(usual, len(events))
        if events.key(0) > self.upto:
            return usual
        if events.key(0) <= self.after:  # nothing is suspected yet: up to where it is
            return max(1, min(usual, events.upto(self.after)))
        return max(1, min(self.size, events.upto(self.upto)))

    def next(self, released: Key) -> "Suspicion":
        """What to suspect after a failure, when events up to `released` were being judged.

        Raises:
            TooManyFail: it cannot be the events.
        """
        aside, trying = set(self.aside), self.trying
        if trying is None:  # no event was being judged: closing windows failed
            raise TooManyFail("judging fails without an event")
        first, last, count = trying
        if count == 1:
            aside.add(first)
            if len(aside) > MAX_SET_ASIDE:
                raise TooManyFail(f"judging fails for more than {MAX_SET_ASIDE} events")
            return Suspicion(START, released, SMALL, aside)
        before = (first[0], first[1], first[2] - 1)
        if count <= SMALL:
            return Suspicion(before, last, 1, aside)
        return Suspicion(before, last, SMALL, aside)
