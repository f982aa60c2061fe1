"""The compiled loop behind `detectors.firsts`: who was the first to use what, by fingerprints."""

from typing import Any

import numpy as np

from schemas.compiled import compiled, inlined

DAY_MS = 86_400_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_HALF = np.uint64(32)
_ONE = np.uint64(1)


@inlined
def _locate(table: Any, bits: Any, name: Any) -> Any:
    """The slot of a name, or the empty one where it belongs."""
    mask = np.int64(len(table) - 1)
    slot = np.int64((name * _SPREAD) >> bits)
    while table[slot] != name and table[slot] != 0:
        slot = (slot + 1) & mask
    return slot


@inlined
def _named(name: Any, time: int, each_ms: int) -> Any:
    """The name of a name in its period of time. Never 0."""
    if each_ms == 0:
        return name
    return max(_ONE, name ^ (np.uint64(time // each_ms) * _SPREAD))


@compiled
def named(name: Any, time: int, each_ms: int) -> Any:
    """The name under which the first of a name, in its period of time, is remembered."""
    return _named(name, time, each_ms)


@compiled
def locate(table: Any, bits: Any, name: Any) -> Any:
    """The slot of a name, or the empty one where it belongs."""
    return _locate(table, bits, name)


@compiled
def insert(table: Any, bits: Any, names: Any, slots: Any) -> None:
    """Puts in names that are not there yet, all different, and fills in their slots."""
    for at in range(len(names)):
        slots[at] = slot = _locate(table, bits, names[at])
        table[slot] = names[at]


@inlined
def _shown(met: Any, earliest: Any, name: Any, value: Any, time: int, now: int) -> bool:
    """Whether the like was shown on this day: the same value, on the same day, no later."""
    days = np.uint64(now // DAY_MS * 64 + time // DAY_MS - now // DAY_MS)
    like = (name ^ (value * _SPREAD) ^ (days * _MIX)) * _MIX
    slot = np.int64((like >> _HALF) & np.uint64(len(met) - 1))
    if met[slot] == like and time >= earliest[slot]:
        return True
    met[slot], earliest[slot] = like, time
    return False


@compiled
def pass_over(
    young: Any, old: Any, events: Any, start: int, room: int, shown: Any, noted: Any, each_ms: int
) -> Any:
    """Passes over events, from `start` on, until one has another value than the first of its name.

    Args:
        young, old: two generations: bits, and the columns names, values, times.
        events: columns of the events: names, values, times, clocks, and which cannot be passed.
        room: how many names may be added to the young.
        shown: columns of a cache: what was shown, and its earliest time.
        noted: filled in, for each first that is new to the young: its event, its slot, and where
            it was in the old, or -1 if the event itself is the first.
        each_ms: a name begins anew in each such period; 0 is never.
    Returns:
        Where it stopped; whether the event there is to be shown (or there is no room for its
        name); how many firsts were noted, and how many names were added.
    """
    names, values, times, clock, doubted = events
    bits, young_names, young_values, young_times = young
    old_bits, old_names, old_values, old_times = old
    met, earliest = shown
    count = added = 0
    for at in range(start, len(names)):
        if doubted[at]:
            return at, True, count, added
        value, time = values[at], times[at]
        if names[at] == 0 or value == 0:
            continue
        name = _named(names[at], time, each_ms)
        slot = _locate(young_names, bits, name)
        here, before = young_names[slot] == name, np.int64(-1)
        if here:
            first, since = young_values[slot], young_times[slot]
        else:
            first, since = value, time + 1
            before = _locate(old_names, old_bits, name)
            if old_names[before] == name:
                first, since = old_values[before], old_times[before]
        if first != value:
            if _shown(met, earliest, name, value, time, clock[at]):
                continue
            return at, True, count, added
        if here and time >= since:
            continue  # the usual case
        if not here:
            if added == room:
                return at, False, count, added
            added += 1
        if time < since:
            since, before = time, np.int64(-1)
        young_names[slot], young_values[slot], young_times[slot] = name, value, since
        noted[0, count], noted[1, count], noted[2, count] = at, slot, before
        count += 1
    return len(names), False, count, added
