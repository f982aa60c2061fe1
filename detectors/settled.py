"""When the past of an event is complete: nothing older can arrive any more.

What an `inspect` detector counts must not depend on the order of arrival. An event may come up to
four minutes late (`lateness_s` is at most 240), so whatever happened more than five minutes before
an event has been seen when that event is, in whichever order the newer ones came.
"""

SETTLED_MS = 300_000  # more than the greatest lateness
HOUR_MS = 3_600_000


def settled_hour(time_ms: int) -> int:
    """The first hour, counted from 1970, that is not yet complete for an event of this time.

    >>> settled_hour(7 * HOUR_MS + SETTLED_MS), settled_hour(7 * HOUR_MS + SETTLED_MS - 1)
    (7, 6)
    """
    return (time_ms - SETTLED_MS) // HOUR_MS
