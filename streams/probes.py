"""Loops over a hash table in columns: open addressing, the next place when one is taken.

All that look into a table are in this one file: compiled code is kept per file, and what it calls
elsewhere could change unnoticed.
"""

from typing import Any

import numpy as np

from schemas.compiled import compiled

NEVER = -(2**31)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT, _ONE = np.uint64(29), np.uint64(1)


@compiled
def locate(table: Any, bits: Any, name: Any) -> Any:
    """The slot of a name, or the empty one where it belongs.

    Args:
        table: names, 0 where a place is empty; its length a power of two.
        bits: 64 minus the logarithm of that length.
    """
    mask = np.int64(len(table) - 1)
    slot = np.int64((name * _SPREAD) >> bits)
    while table[slot] != name and table[slot] != 0:
        slot = (slot + 1) & mask
    return slot


@compiled
def mix(keys: Any, values: Any, kind: Any, mixed: Any) -> None:
    """Fills in one name, never 0, for each (key, value) of a kind; all are 64 bits."""
    for at in range(len(keys)):
        one = (keys[at] * _SPREAD + kind * _MIX) ^ values[at]
        one = (one ^ (one >> _SHIFT)) * _MIX
        mixed[at] = (one ^ (one >> _SHIFT)) | _ONE


@compiled
def find(table: Any, bits: Any, names: Any, slots: Any, here: Any) -> None:
    """Fills in the slot of each name and whether it is there."""
    for at in range(len(names)):
        slots[at] = slot = locate(table, bits, names[at])
        here[at] = table[slot] == names[at]


@compiled
def insert(table: Any, bits: Any, names: Any, slots: Any) -> None:
    """Puts in names that are not there yet, all different, and fills in their slots."""
    for at in range(len(names)):
        slots[at] = slot = locate(table, bits, names[at])
        table[slot] = names[at]


@compiled
def meet(
    table: Any,
    bits: Any,
    first: Any,
    met: Any,
    asked: Any,
    start: int,
    room: int,
    told: Any,
) -> Any:
    """Notes pairs met in windows, from `start` on, until there is no room for another.

    Args:
        first, met: columns: window first met in; newest even and odd window met in.
        asked: rows of names and windows.
        told: filled in: met first in this window or the one before; first event in it.
    Returns:
        Where it stopped, and how many names it added.
    """
    names, windows = asked
    new, fresh = told
    added = 0
    for at in range(start, len(names)):
        slot, window = locate(table, bits, names[at]), windows[at]
        if table[slot] == 0:
            if added == room:
                return at, added
            table[slot] = names[at]
            first[slot] = window
            met[slot, 0] = met[slot, 1] = NEVER
            added += 1
        elif window < first[slot]:
            first[slot] = window
        new[at] = first[slot] >= window - 1
        parity = window & 1
        fresh[at] = met[slot, parity] != window
        met[slot, parity] = window
    return len(names), added


@compiled
def count(
    table: Any,
    bits: Any,
    tally: Any,
    end: Any,
    asked: Any,
    start: int,
    room: int,
    before: Any,
) -> Any:
    """Counts names, from `start` on, until there is no room for another.

    Args:
        tally, end: columns: how often it came; when it is not needed any more.
        asked: rows of names and ends.
        before: filled in: how often each came before.
    Returns:
        Where it stopped, and how many names it added.
    """
    names, ends = asked
    added = 0
    for at in range(start, len(names)):
        slot = locate(table, bits, names[at])
        if table[slot] == 0:
            if added == room:
                return at, added
            table[slot] = names[at]
            tally[slot], end[slot] = 0, ends[at]
            added += 1
        before[at] = tally[slot]
        tally[slot] += 1
    return len(names), added


@compiled
def remember(
    table: Any,
    bits: Any,
    signature: Any,
    until: Any,
    asked: Any,
    start: int,
    room: int,
    known: Any,
) -> Any:
    """Remembers ids with their first signature, from `start` on, until there is no room.

    Args:
        signature, until: columns: of the first event with this id; how long it is kept.
        asked: rows of names, signatures and untils.
        known: filled in: whether the id came before, and its first signature.
    Returns:
        Where it stopped, and how many ids it added.
    """
    names, signatures, untils = asked
    came, firsts = known
    added = 0
    for at in range(start, len(names)):
        slot = locate(table, bits, names[at])
        came[at] = table[slot] != 0
        if table[slot] == 0:
            if added == room:
                return at, added
            table[slot] = names[at]
            signature[slot], until[slot] = signatures[at], untils[at]
            added += 1
        firsts[at] = signature[slot]
    return len(names), added


@compiled
def spare(met: Any, earliest: Any, slots: Any, names: Any, times: Any, shown: Any) -> None:
    """Which events have to be shown: the first of its name in its slot, and any that is earlier.

    Args:
        met, earliest: by slot: the name met last, and the earliest of its times shown.
        slots, names, times: of the events.
        shown: filled in.
    """
    for at in range(len(names)):
        slot = slots[at]
        like = met[slot] == names[at]
        shown[at] = not like or times[at] < earliest[slot]
        if shown[at]:
            met[slot], earliest[slot] = names[at], times[at]
