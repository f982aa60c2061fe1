"""A usual level that is learned batch by batch, and left alone while something is odd."""

from typing import Any

LEARNED = 4  # batches before a level means anything
FADING = 0.125  # weight of the newest batch
ACCEPT = 8  # odd batches in a row that are the new usual

Known = dict[str, Any]


def usual(known: Known) -> float | None:
    """The level so far; None while too little was learned."""
    return float(known["usual"]) if known.get("n", 0) >= LEARNED else None


def learn(known: Known, value: float, odd: bool) -> None:
    """Learns a batch's value, unless it is odd; what stays odd becomes usual.

    >>> known = {}
    >>> for value in (1.0, 1.0, 1.0, 3.0): learn(known, value, odd=False)
    >>> usual(known)
    1.5
    >>> for _ in range(ACCEPT): learn(known, 9.0, odd=True)
    >>> usual(known) is None, known["usual"]
    (True, 9.0)
    """
    if odd:
        known["odd"] = known.get("odd", 0) + 1
        if known["odd"] < ACCEPT:
            return
        known.clear()
    known["odd"] = 0
    known["n"] = known.get("n", 0) + 1
    before = known.get("usual", 0.0)
    known["usual"] = before + max(1 / known["n"], FADING) * (value - before)
