"""The most a key ever did in a window, and how far beyond it an honest key goes.

Where a key has few windows there are too few to describe a tail. Its record is enough: of n + 1
windows like each other each is the highest with probability 1 / (n + 1) (Rényi 1962), so the more
windows are known, the more a new record says.
"""

from dataclasses import dataclass

from detectors.base import Usual

LEAST_BEYOND = 0.02  # a record must be passed by this share of itself, whatever the budget


@dataclass(frozen=True)
class Recorded:
    """A feature whose highest window is remembered.

    A window passes the record by the share x with probability `heavy / (n + 1) / x**steep`, n
    windows being known: a power law, as wide as records of bursty keys are.

    Attributes:
        feature: name of it.
        slack: added to both sides before they are compared, so that small records are not
            passed by chance; in the unit of the feature.
        heavy: how often records are passed; measured on the 152 clients of docs/detection.md.
        steep: how fast that falls with the distance; measured likewise.
    """

    feature: str
    slack: float
    heavy: float
    steep: float = 1.0

    def limit(self, most: float, known: int, share: float, width: float) -> float:
        """The total that windows reach at most `share` times a month.

        Args:
            most: the record.
            known: windows it is the record of.
            width: of a window, as a share of a month.

        >>> round(Recorded("active_hours", 12.0, 0.02).limit(8, known=9, share=0.3, width=1 / 30))
        12
        """
        often = self.heavy / width / ((known + 1) * share)
        beyond = max(LEAST_BEYOND, often ** (1 / self.steep))
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
        often = 1 / self.width
        if beyond <= 0:
            return often
        passed = self.law.heavy / (self.windows + 1) / beyond**self.law.steep
        return float(often * min(1.0, passed))


def most(law: Recorded, record: float, known: int, share: float, width: float) -> Most:
    """A recorded feature as detectors see it."""
    limit = law.limit(record, known, share, width)
    return Most(float(record), limit, known, 0.0, 1.0, 0.0, law, width)
