"""When the past of an event is complete: nothing older can arrive any more.

What an `inspect` detector counts must not depend on the order of arrival. An event may come up to
four minutes late (`lateness_s` is at most 240), so whatever happened more than five minutes before
an event has been seen when that event is, in whichever order the newer ones came.
"""

from operator import add

SETTLED_MS = 300_000  # more than the greatest lateness
HOUR_MS = 3_600_000


def settled_hour(time_ms: int) -> int:
    """The first hour, counted from 1970, that is not yet complete for an event of this time.

    >>> settled_hour(7 * HOUR_MS + SETTLED_MS), settled_hour(7 * HOUR_MS + SETTLED_MS - 1)
    (7, 6)
    """
    return (time_ms - SETTLED_MS) // HOUR_MS


def count(hours: list[list[int]], time_ms: int, *amounts: int, most: int = 4000) -> list[list[int]]:
    """Adds amounts to the hour of an event; returns the counts, to be remembered.

    Hours that are complete are added up in the first entry, where older ones count half each time
    the first amount passes `most`.

    >>> counts = count([], HOUR_MS, 1, 0)
    >>> counts = count(counts, 5 * HOUR_MS, 1, 1)
    >>> counts, counted(counts, 5 * HOUR_MS), counted(counts, 7 * HOUR_MS)
    ([[-1, 1, 0], [5, 1, 1]], [1, 0], [2, 1])
    """
    hours = hours or [[-1, *(0 for _ in amounts)]]
    hour = time_ms // HOUR_MS
    mine = next((one for one in hours[1:] if one[0] == hour), None)
    if mine is None:
        hours = sorted([*hours, mine := [hour, *(0 for _ in amounts)]])
    mine[1:] = map(add, mine[1:], amounts)
    while len(hours) > 1 and hours[1][0] < hours[-1][0] - 1:
        _, *done = hours.pop(1)
        half = 2 if hours[0][1] > most else 1
        hours[0] = [-1, *(old // half + new for old, new in zip(hours[0][1:], done, strict=True))]
    return hours


def counted(hours: list[list[int]], time_ms: int) -> list[int]:
    """The amounts of all hours that are complete for an event of this time."""
    until = settled_hour(time_ms)
    return [sum(one) for one in zip(*(h[1:] for h in hours if h[0] < until), strict=True)]
