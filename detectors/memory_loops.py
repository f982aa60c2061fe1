"""The compiled loops behind `detectors.firsts` and `detectors.places`, in one file.

Compiled code is kept per file, and what it calls elsewhere could change unnoticed.
"""

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


NOBODY = np.int64(-1)
OWNERS, NODES, FREE = 0, 1, 2  # of `used`


@compiled
def visit(
    young: Any, old: Any, events: Any, start: int, room: int, shown: Any, rule: Any, once: bool
) -> Any:
    """Notes where owners were, from `start` on, until one is at a strange place.

    Args:
        young, old: two generations; see `detectors.places.Generation.loop`.
        events: columns of the events: owners, places, their low and high numbers, the events'
            times and clocks, and which may be shown.
        room: owners that the young may hold.
        shown: columns of a cache: what was shown, and its earliest time.
        rule: places of an owner at most; how long one is kept after its high number; and what is
            strange: a place whose low number is so much above the owner's least, with the least so
            much below the event's low number, and the place's not so much.
        once: like events are shown once a day.
    Returns:
        Where it stopped, and whether the event there is to be shown (or there is no room).
    """
    owners, places, lows, highs, times, clock, asked = events
    bits, names, heads, _, low_of, high_of, after, used = young
    most, kept, gap, past, recent = rule
    for at in range(start, len(owners)):
        owner, place, low, high = owners[at], places[at], lows[at], highs[at]
        if owner == 0 or place == 0:
            continue
        slot = _locate(names, bits, owner)
        if used[NODES] + most >= len(after) or (names[slot] != owner and used[OWNERS] >= room):
            return at, False
        if names[slot] != owner:
            names[slot], heads[slot] = owner, NOBODY
            used[OWNERS] += 1
            _carry(young, slot, old, owner)
        mine, least = _look(young, slot, place)
        if mine == NOBODY or low < low_of[mine] or high > high_of[mine]:
            mine = _enter(young, slot, place, low, high, most, kept)
            _, least = _look(young, slot, place)
        here = low_of[mine]
        strange = here >= least + gap and here > low - recent and least <= low - past
        if not asked[at] or not strange:
            continue
        if not once or not _shown(shown[0], shown[1], owner, place, times[at], clock[at]):
            return at, True
    return len(owners), False


@compiled
def unchain(heads: Any, after: Any, counts: Any, nodes: Any) -> None:
    """Fills in how long each chain is, and the nodes of all of them, one after the other."""
    at = 0
    for chain in range(len(heads)):
        counts[chain] = -at
        node = heads[chain]
        while node != NOBODY:
            nodes[at] = node
            at += 1
            node = after[node]
        counts[chain] += at


@inlined
def _new(young: Any) -> Any:
    """A node that is not in use."""
    _, _, _, _, _, _, after, used = young
    node = used[FREE]
    if node != NOBODY:
        used[FREE] = after[node]
        return node
    used[NODES] += 1
    return used[NODES] - 1


@inlined
def _carry(young: Any, slot: int, old: Any, owner: Any) -> None:
    """Takes an owner's places over from the old generation, in their order."""
    _, _, heads, place_of, low_of, high_of, after, _ = young
    old_bits, old_names, old_heads, old_place, old_low, old_high, old_after, _ = old
    before = _locate(old_names, old_bits, owner)
    if old_names[before] != owner:
        return
    node, last = old_heads[before], NOBODY
    while node != NOBODY:
        new = _new(young)
        place_of[new], low_of[new], high_of[new] = old_place[node], old_low[node], old_high[node]
        after[new] = NOBODY
        if last == NOBODY:
            heads[slot] = new
        else:
            after[last] = new
        node, last = old_after[node], new


@inlined
def _look(young: Any, slot: int, place: Any) -> Any:
    """An owner's node of a place, and the least low number of all its places."""
    _, _, heads, place_of, low_of, _, after, _ = young
    node, mine, least = heads[slot], NOBODY, np.int64(2**62)
    while node != NOBODY:
        if place_of[node] == place:
            mine = node
        least = min(least, low_of[node])
        node = after[node]
    return mine, least


@inlined
def _enter(young: Any, slot: int, place: Any, low: int, high: int, most: int, kept: int) -> Any:
    """Writes that an owner was at a place, and forgets where it was too long ago.

    The newest place comes first; when there are too many, it is what goes.
    """
    _, _, heads, place_of, low_of, high_of, after, used = young
    count, last, mine = 0, NOBODY, NOBODY
    node = heads[slot]
    while node != NOBODY:
        following = after[node]
        if high_of[node] < high - kept:
            if last == NOBODY:
                heads[slot] = following
            else:
                after[last] = following
            after[node] = used[FREE]
            used[FREE] = node
        else:
            if place_of[node] == place:
                mine = node
            count += 1
            last = node
        node = following
    if mine == NOBODY:
        if count >= most:
            mine = heads[slot]
        else:
            mine = _new(young)
            after[mine] = heads[slot]
            heads[slot] = mine
        place_of[mine], low_of[mine], high_of[mine] = place, low, high
    low_of[mine], high_of[mine] = min(low, low_of[mine]), max(high, high_of[mine])
    return mine
