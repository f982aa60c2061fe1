"""The one thing an author of a sink has to know.

A sink formats in a pure function and sends in a thin one. `send` returns when the destination has
taken every record; it raises one of two named errors otherwise, and nothing else is the sink's
business: order, retries, backoff, splitting and dead letters belong to the outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from schemas.finding import Finding


class RetryLater(Exception):
    """The destination cannot take this now: 401, 403, 404, 429, 5xx, DNS, TLS, a full disk.

    Attributes:
        after_s: seconds the destination asked us to wait, or None when it did not say.
        operator: True when only a person can mend it (a bad token, a missing index); such a row is
            held and the operator is told once.
    """

    def __init__(
        self, reason: str, after_s: float | None = None, *, operator: bool = False
    ) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.operator = operator


class Rejected(Exception):
    """The destination refuses this content (400, 413, 422) and would refuse it again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One finding revision on its way to one destination.

    `key` is the same on every try and on every replay: `<finding id>#<revision>`.
    """

    key: str
    finding: Finding


class Sink(Protocol):
    """A destination. `batch` is the largest number of records one `send` takes."""

    name: str
    batch: ClassVar[int]

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Hands over every record, in order.

        Raises:
            RetryLater: nothing may be assumed delivered; the same records will come again.
            Rejected: the batch is refused; the outbox will bisect it to find the culprit.
        """

    def close(self) -> None:
        """Releases connections."""
