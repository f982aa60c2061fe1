"""Where owners were is remembered as a plain list of each would."""

from random import Random
from typing import Any

from detectors.places import Places, Rule
from schemas.fingerprint import fingerprint_of

HORIZON = 1000
RULE = Rule(most=4, kept=30)


class Plain:
    """The same with dictionaries: owner -> [place, low, high], the newest first."""

    def __init__(self, limit: int) -> None:
        self.young: dict[str, list[list[Any]]] = {}
        self.old: dict[str, list[list[Any]]] = {}
        self.limit, self.period = limit, 0

    def tick(self, now: int) -> None:
        period = now // HORIZON
        if period != self.period:
            self.old, self.young = (self.young if period == self.period + 1 else {}), {}
        self.period = period

    def note(self, owner: str, place: str, low: int, high: int) -> list[tuple[int, int, int]]:
        known = self.young.get(owner, self.old.get(owner, []))
        mine = next((one for one in known if one[0] == place), None)
        if mine is None or low < mine[1] or high > mine[2]:
            known = [one for one in known if one[2] >= high - RULE.kept]
            mine = next((one for one in known if one[0] == place), None)
            if mine is None:
                mine = [place, low, high]
                known = [mine, *(known[1:] if len(known) >= RULE.most else known)]
            mine[1], mine[2] = min(low, mine[1]), max(high, mine[2])
        if owner not in self.young and len(self.young) >= self.limit:
            self.old, self.young = self.young, {}
        self.young[owner] = known
        return [(fingerprint_of(one[0]), one[1], one[2]) for one in known]


def test_places_are_remembered_in_columns_as_in_lists() -> None:
    for seed, limit in enumerate((10**6, 10**6, 12)):
        rng, now = Random(seed), 0
        places, plain = Places(HORIZON, limit, RULE), Plain(limit)
        for step in range(3000):
            now += rng.choice([0, 0, 1, 1, 2, 700 if rng.random() < 0.01 else 0])
            places.tick(now)
            plain.tick(now)
            owner, place = f"o{rng.randrange(40)}", f"p{rng.randrange(7)}"
            low, high = now - rng.randrange(9), now - rng.randrange(9)

            expected = plain.note(owner, place, low, high)
            here, known = places.note(owner, place, low, high)
            assert (expected, fingerprint_of(place)) == (known, here.name)
            if step % 100 == 0:
                again = Places(HORIZON, limit, RULE)
                again.load(places.state())
                places = again


def test_thousands_of_owners_find_their_own_places_again() -> None:
    places = Places(HORIZON, 10**6, RULE)
    places.tick(0)
    for turn in range(3):
        for owner in range(3000):
            _, found = places.note(f"o{owner}", f"p{owner}-{turn}", turn, turn)
            assert [turn - back for back in range(turn + 1)] == [place.low for place in found]

    assert 3000 == len(places)
