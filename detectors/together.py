"""Whether many keys changed at once: then it was not them, but the service they share."""

from math import log
from typing import Any

from detectors.tallies import Batch, State

MEMBERS = 3  # keys that must be comparable
KNOWN_CALLS = 8  # earlier calls of a key that make it comparable
KNOWN_BATCHES = 4  # of the service; its first hours are no past
MOST_WEIGHT = 8  # calls of one key that count, so that a busy one cannot speak for all
ENOUGH = 20  # calls that count, of all keys together
MAX_MEMBERS = 64  # keys remembered per service
FADING = 0.05  # weight of the newest call in a key's mean
ACCEPT = 8  # batches in a row after which a change is the new usual
SCALE = 1000  # logarithms are counted in thousandths, so that no order of addition shows


def counts(key: str, value: float) -> dict[str, int]:
    """What `Tallies.add` is given for one call of a key with a positive value."""
    return {f"calls {key}": 1, f"total {key}": round(SCALE * log(value))}


def shift(state: State, batch: Batch) -> tuple[float, int] | None:
    """How far the keys of a batch moved from their own past, and how many keys that is.

    The weighted median of the keys' differences of mean logarithms: more than half must agree.
    None if too few keys are comparable.
    """
    known = state["known"].get("members", {})
    if state["known"].get("batches", 0) < KNOWN_BATCHES:
        return None
    moved = []
    for key, calls, mean in _members(batch):
        before = known.get(key)
        if before is not None and before[0] >= KNOWN_CALLS:
            moved.append((mean - before[1], min(calls, MOST_WEIGHT)))
    weight = sum(one[1] for one in moved)
    if len(moved) < MEMBERS or weight < ENOUGH:
        return None
    moved.sort()
    half, passed = weight / 2, 0
    for difference, calls in moved:
        passed += calls
        if passed >= half:
            return difference, len(moved)
    return None


def learn(state: State, batch: Batch, odd: bool) -> None:
    """Learns the keys' means, unless the batch is odd; what stays odd becomes usual."""
    known = state["known"]
    known["odd"] = known.get("odd", 0) + 1 if odd else 0
    if odd and known["odd"] < ACCEPT:
        return
    if odd:
        known.clear()
    known["batches"] = known.get("batches", 0) + 1
    members: dict[str, list[Any]] = known.setdefault("members", {})
    for key, calls, mean in _members(batch):
        n, before = members.pop(key, (0, 0.0))
        weight = max(calls / (n + calls), 1 - (1 - FADING) ** calls)
        members[key] = [n + calls, before + weight * (mean - before)]  # the newest come last
    while len(members) > MAX_MEMBERS:
        members.pop(next(iter(members)))


def _members(batch: Batch) -> list[tuple[str, int, float]]:
    """Key, calls and mean logarithm, in an order that is always the same."""
    found = batch["counts"]
    named = ((name[6:], found[name], found.get("total " + name[6:])) for name in found)
    return sorted(
        (key, calls, total / calls / SCALE)
        for (key, calls, total), name in zip(named, found, strict=True)
        if name.startswith("calls ") and total is not None
    )
