"""The most a key ever did in a window, and how far beyond it an honest key goes.

Where a key has few windows there are too few to describe a tail. Its record is enough: of n + 1
windows like each other each is the highest with probability 1 / (n + 1) (Rényi 1962), so the more
windows are known, the more a new record says.
"""

from dataclasses import dataclass
from math import expm1, log1p

from detectors.base import Usual

LEAST_BEYOND = 0.02  # a record must be passed by this share of itself, whatever the budget
PRIOR = 0.1  # alerts that the law is worth beside those of the key itself
MOST_EASED = 4.0
LEAST_AWAKE = 0.25  # share of its time for which a key is never taken to be quiet


@dataclass(frozen=True)
class Recorded:
    """A feature whose highest window is remembered.

    A window is a record with probability 1 / (n + 1), n windows being known, and passes the old
    one by more than the share x with probability (1 + k log(1 + x) / scale) ** (-1 / k) of that,
    k = 1 / n + heavy: excesses over a high level are exponential on a logarithmic scale, and the
    fewer are known, the heavier the tail one has to reckon with (Pickands 1975).

    Attributes:
        feature: name of it.
        slack: added to both sides before they are compared, so that small records are not
            passed by chance; in the unit of the feature.
        scale: mean excess of a record, in logarithms; by maximum likelihood from 1,162 records of
            the clients of docs/detection.md.
        heavy: of the tail when all is known; likewise.
    """

    feature: str
    slack: float
    scale: float
    heavy: float = 0.0

    def limit(self, most: float, known: int, share: float, width: float) -> float:
        """The total that windows reach at most `share` times a month.

        Args:
            most: the record.
            known: windows it is the record of.
            width: of a window, as a share of a month.

        >>> round(Recorded("active_hours", 12.0, 0.12).limit(8, known=9, share=0.3, width=1 / 30))
        15
        """
        chance, bend = share * width * (known + 1), 1 / max(known, 1) + self.heavy
        excess = self.scale / bend * (min(chance, 1.0) ** -bend - 1)
        beyond = max(LEAST_BEYOND, expm1(min(excess, 40.0)))
        return float((1 + beyond) * (most + self.slack) - self.slack)


@dataclass(frozen=True, slots=True)
class Most(Usual):
    """What is usual of a recorded feature: `typical` is the record."""

    law: Recorded
    width: float

    def per_month(self, total: float) -> float:
        """How often a month windows of such a key reach `total`."""
        slack = self.law.slack
        beyond = (total + slack) / (self.typical + slack) - 1
        if beyond <= 0:
            return 1 / self.width
        bend = 1 / max(self.windows, 1) + self.law.heavy
        passed = (1 + bend * log1p(beyond) / self.law.scale) ** (-1 / bend)
        return float(passed / (self.windows + 1) / self.width)


def most(law: Recorded, record: float, known: int, share: float, width: float) -> Most:
    """A recorded feature as detectors see it."""
    limit = law.limit(record, known, share, width)
    return Most(float(record), limit, known, 0.0, 1.0, 0.0, law, width)


def eased(allowed: float, months: float, unusual: int, quiet: float) -> float:
    """How many times its share of the budget a key's records may come up by their law.

    The law is the same for all keys; how often a key's own windows were unusual says how well it
    fits this one: a Gamma prior worth `PRIOR` alerts on how many come for each that is allowed. A
    key that was told of more often is watched as if it had not been, so that an attack buys
    nobody a blind spot. After each alert the key is quiet, and the rest of its time makes up for
    that.

    Args:
        allowed: alerts a month that all records of the key together may raise.
        months: since its first window.
        unusual: its windows since then that were not learned.
        quiet: months for which it is quiet after an alert.

    >>> [round(eased(allowed, 0.3, 0, 0.1), 1) for allowed in (0.2, 0.7, 2.7)]
    [1.7, 4.0, 16.0]
    """
    fits = (PRIOR + allowed * months) / (PRIOR + unusual)
    rate = min(max(fits, 1.0), MOST_EASED)
    return rate / max(1 - allowed * rate * quiet, LEAST_AWAKE)
