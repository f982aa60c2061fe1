"""The one thing an author of a sink has to know.

A sink formats in a pure function and sends in a thin one. `send` returns when the destination has
taken every record; it raises one of three named errors otherwise, and nothing else is the sink's
business: order, retries, backoff, splitting and dead letters belong to the outbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from alerts.incident import Incident
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


class NotYet(RetryLater):
    """Nothing is wrong: the sink is at it, or gathers what belongs together.

    The same records come again after `after_s`, at once with None, with whatever is more urgent
    by then before them. Alone, or as `later` of `Partly`.
    """


class Rejected(Exception):
    """The destination refuses this content (400, 413, 422) and would refuse it again."""


class Partly(Exception):
    """The destination said of each record what became of it, and not all is well.

    Attributes:
        taken: keys of records that are delivered and must not come again.
        rejected: key -> reason, of records it refuses for good; they become dead letters.
        later: what to do with the rest; None when there is no rest.
    """

    def __init__(
        self,
        taken: frozenset[str],
        rejected: Mapping[str, str] | None = None,
        later: RetryLater | None = None,
    ) -> None:
        super().__init__(str(later) if later else "some records were refused")
        self.taken = taken
        self.rejected = dict(rejected or {})
        self.later = later


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one destination is to be told, once.

    A destination that takes findings (a SIEM) gets every finding revision, and each finding once
    more when its incident is closed or a person reopens it. One that takes incidents (people) gets
    revisions of incidents; those that wait are replaced by newer ones of the same incident, so that
    it says what is true when it is sent.

    Attributes:
        key: the same on every try and on every replay: `<finding id>#<revision>`,
            `<finding id>#<closed or reopened>-<incident revision>`, `<incident id>@<revision>`.
        finding: the finding; of an incident, its newest.
        incident: the incident revision; None for a finding revision.
        about: what this tells of.
    """

    key: str
    finding: Finding
    incident: Incident | None = None
    about: Literal["finding", "incident"] = "finding"

    @property
    def activity(self) -> Literal["create", "update", "close"]:
        """In the life of the finding (or the incident): one uid, from create to close."""
        if self.incident is not None:
            if not self.incident.active:
                return "close"
            new = self.about == "incident" and self.incident.revision == 1
            return "create" if new else "update"
        return "create" if self.finding.revision == 1 else "update"


class Sink(Protocol):
    """A destination. `batch` is the largest number of records one `send` takes."""

    name: str
    batch: ClassVar[int]

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Hands over every record, in order.

        Raises:
            RetryLater: nothing may be assumed delivered; the same records will come again.
            Rejected: the batch is refused; the outbox will bisect it to find the culprit.
            Partly: some were taken, some refused, some are to come again.
        """

    def close(self) -> None:
        """Releases connections."""


class Router(Protocol):
    """Who is to be told of what."""

    def of_finding(self, finding: Finding) -> Sequence[str]:
        """Names of the destinations that take findings and want this one."""

    def of_incident(self, incident: Incident) -> Sequence[str]:
        """Names of the destinations that take incidents and want this one."""
