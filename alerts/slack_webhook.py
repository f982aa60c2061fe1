"""Incidents through an incoming webhook of Slack, where there may be no bot.

A webhook only posts: no edits, threads or buttons, and nobody can look up what was posted just
before a crash. So people hear of what is new and of what is over, and of nothing in between.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from alerts.base import Delivery, NotYet, Partly, RetryLater, Sink
from alerts.destination_base import Place, Takes, TokenSettings, checked_url, require_https
from alerts.incident import LOUD, Incident, Policy
from alerts.incident_steps import receive
from schemas.finding import Severity

if TYPE_CHECKING:
    from alerts.posting import Poster

HINT = "is the webhook's address right, and is it still switched on?"
_ENDS = ("resolved", "false_positive")
_TAKEN = ("text", "blocks", "attachments", "unfurl_links", "unfurl_media")


class SlackWebhookSettings(TokenSettings):
    """A Slack channel, through an incoming webhook; the token is its whole address."""

    takes: ClassVar[Takes] = "incidents"
    type: Literal["slack_webhook"]
    monitor: bool = Field(
        default=False, description="also send findings of detectors in monitor mode"
    )
    feed_url: str = Field(
        default="", description="address of the feed as people reach it, for links"
    )
    timeout_s: float = Field(default=15, gt=0, le=300, description="of one request")

    @field_validator("feed_url")
    @classmethod
    def _feed(cls, value: str) -> str:
        return checked_url(value).rstrip("/") if value else ""

    def sink(self, name: str, place: Place) -> Sink:
        """Its sink."""
        from alerts.posting import Poster

        poster = Poster(timeout_s=self.timeout_s)
        return SlackWebhookSink(name, self.secret(place.base).read, poster, self.feed_url)


class SlackWebhookSink:
    """One webhook.

    Args:
        address: reads it; it is a secret.
        sleep, clock: seconds.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        address: Callable[[], str],
        poster: "Poster",
        feed_url: str = "",
        *,
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from alerts.slack_calls import Pacer
        from alerts.slack_message import Look
        from alerts.slack_plan import Flow

        self.name = name
        self._address = address
        self._poster = poster
        self._look = Look(feed_url=feed_url)
        self._pacer = Pacer(interval_s, clock, sleep)
        self._flow = Flow()
        self._clock = clock

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts one message: the most urgent incident, or a digest of many.

        Raises:
            RetryLater, Rejected: as Slack's answer says.
            Partly: these are told; the rest comes again at once.
        """
        pairs = [(each, each.incident or _alone(each)) for each in deliveries]
        taken = {each.key for each, incident in pairs if not _worth(incident)}
        open_pairs = [(each, incident) for each, incident in pairs if _worth(incident)]
        if open_pairs:
            told = self._tell(open_pairs)
            taken |= {each.key for each in told}
        if len(taken) < len(deliveries):
            raise Partly(frozenset(taken), later=NotYet("there is more to tell", 0.0))

    def close(self) -> None:
        """Closes the connection."""
        self._poster.close()

    def _tell(self, pairs: list[tuple[Delivery, Incident]]) -> list[Delivery]:
        from alerts.slack_digest import Digest, absorb, to_digest_message
        from alerts.slack_message import to_message

        now = self._clock()
        critical = [p for p in pairs if p[1].severity is Severity.CRITICAL]
        first = (critical or pairs)[0]
        if self._flow.room(now, critical=bool(critical)) and (
            critical or len(pairs) <= self._flow.room(now, critical=False)
        ):
            delivery, incident = first
            self._post(to_message(incident, delivery.finding, self._look))
            self._flow.posted(now, critical=bool(critical))
            return [delivery]
        clock = datetime.now(UTC)
        begun = min(incident.changed for _, incident in pairs)
        digest = Digest(id=self.name, kind="flood", begun=min(begun, clock), changed=clock)
        digest, _ = absorb(digest, [(incident, None) for _, incident in pairs], clock)
        self._post(to_digest_message(digest, self._look))
        return [delivery for delivery, _ in pairs]

    def _post(self, message: dict[str, Any]) -> None:
        from alerts.posting import judge

        address = self._address()
        try:
            require_https("the webhook's address", address, allowed=False)
        except ValueError as error:
            raise RetryLater(str(error), operator=True) from None
        body = json.dumps({name: message[name] for name in _TAKEN if name in message})
        headers = {"Content-Type": "application/json"}
        with self._pacer:
            answer = self._poster.post(address, body.encode(), headers, hide=address)
        if answer.status == 400 and b"invalid_token" in answer.body:
            raise RetryLater(f"{answer.told}; {HINT}", operator=True)
        judge(answer, HINT)


def _worth(incident: Incident) -> bool:
    """Whether people should hear of this revision, though nothing can be edited."""
    if incident.inhibited_by is not None:
        return False
    return incident.change in _ENDS or (incident.change in LOUD and incident.active)


def _alone(delivery: Delivery) -> Incident:
    return receive(None, delivery.finding, delivery.finding.time, Policy())
