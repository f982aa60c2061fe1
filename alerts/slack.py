"""Incidents into a Slack channel: one message each, edited when there is more to say.

Where an incident was posted is kept before anything else happens, so that a later revision, or the
same one after a crash, edits that message instead of posting another.
"""

import http.client
import json
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.base import Delivery, Rejected, RetryLater
from alerts.memory import Memory
from alerts.network import asked_to_wait, unreachable
from alerts.slack_incident import to_message as of_incident
from alerts.slack_message import to_message

# Slack's `error` values, by what helps
PASSES = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
REFUSED = frozenset(
    {
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


class SlackSink:
    """One channel.

    Args:
        channel: its id, or #name.
        token: reads the bot token; asked before every message, so that a new one counts at once.
        memory: durable; holds where each incident was posted.
        interval_s: least seconds between two messages; Slack allows about one a second.
    """

    batch: ClassVar[int] = 1

    def __init__(
        self,
        name: str,
        channel: str,
        token: Callable[[], str],
        memory: Memory,
        *,
        api_url: str = "https://slack.com/api/",
        interval_s: float = 1.0,
        timeout_s: int = 15,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._channel = channel
        self._token = token
        self._memory = memory
        # Slack knows no idempotency key: only the outbox may send again
        self._client = WebClient(base_url=api_url, timeout=timeout_s, retry_handlers=[])
        self._interval_s = interval_s
        self._clock = clock
        self._sleep = sleep
        self._wall = wall
        self._sent_at: float | None = None
        self._unkept: tuple[str, _Place] | None = None  # posted, but the disk did not take it yet

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts or edits one message each.

        Raises:
            RetryLater, Rejected: as Slack's answer says.
        """
        for each in deliveries:
            self._tell(each)

    def close(self) -> None:
        """Closes the memory."""
        close = getattr(self._memory, "close", None)
        if close is not None:
            close()

    def _tell(self, delivery: Delivery) -> None:
        finding, incident = delivery.finding, delivery.incident
        subject = finding if incident is None else incident
        place = self._place(subject.id)
        if place is not None and place.revision >= subject.revision:
            return  # it says this already, or something newer
        message = to_message(finding) if incident is None else of_incident(incident, finding)
        answer = None
        if place is not None:
            answer = self._call("chat_update", message, channel=place.channel, ts=place.ts)
        if answer is None:
            answer = self._call("chat_postMessage", message, channel=self._channel)
        channel, ts = (answer or {}).get("channel"), (answer or {}).get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise RetryLater("Slack's answer does not say where the message is")
        self._keep(subject.id, _Place(channel, ts, subject.revision))

    def _place(self, id: str) -> "_Place | None":
        if self._unkept is not None:
            kept, place = self._unkept
            self._keep(kept, place)
        text = self._memory.get(id)
        return _Place(*json.loads(text)) if text is not None else None

    def _keep(self, id: str, place: "_Place") -> None:
        self._unkept = (id, place)
        try:
            self._memory.put(id, json.dumps(place))
        except sqlite3.Error:
            raise RetryLater("where the message was posted could not be stored") from None
        self._unkept = None

    def _call(self, method: str, message: dict[str, Any], **where: str) -> dict[str, Any] | None:
        """Slack's answer; None when there is no such message to edit."""
        token = self._token()
        self._pace()
        if method == "chat_update":
            message = {k: v for k, v in message.items() if k not in _ONLY_WHEN_POSTING}
        try:
            answer = getattr(self._client, method)(token=token, **where, **message)
        except SlackApiError as error:
            self._failed(error, editing=method == "chat_update")
            return None
        except (SlackClientError, http.client.HTTPException, OSError) as error:
            raise unreachable(error) from None
        data = answer.data
        return data if isinstance(data, dict) else {}

    def _pace(self) -> None:
        if self._sent_at is not None:
            wait = self._sent_at + self._interval_s - self._clock()
            if wait > 0:
                self._sleep(wait)
        self._sent_at = self._clock()

    def _failed(self, error: SlackApiError, *, editing: bool) -> None:
        response: Any = error.response
        status = getattr(response, "status_code", None)
        data = getattr(response, "data", response)
        said = data.get("error") if isinstance(data, dict) else None
        code = said if isinstance(said, str) and _CODE.fullmatch(said) else None
        if editing and code in GONE:
            return
        now = datetime.fromtimestamp(self._wall(), UTC)
        asked = asked_to_wait(_retry_after(getattr(response, "headers", None)), now)
        reason = f"Slack: {code}" if code else f"Slack: HTTP {status}"
        if code in PASSES or status == 429 or (isinstance(status, int) and status >= 500):
            raise RetryLater(reason, asked)
        if code in REFUSED or status == 413:
            raise Rejected(reason)
        if code is None and status in (None, 200):
            raise RetryLater("Slack: an answer that is not JSON", asked)
        # a token, a scope, a channel, or something new: nothing that time alone will mend
        raise RetryLater(f"{reason}; check token, scopes and channel", asked, operator=True)


class _Place(NamedTuple):
    channel: str
    ts: str
    revision: int


_CODE = re.compile("[a-z0-9_]{1,64}")
_ONLY_WHEN_POSTING = ("mrkdwn", "unfurl_links", "unfurl_media")


def _retry_after(headers: Any) -> str | None:
    if not headers:
        return None
    found = {str(name).lower(): value for name, value in dict(headers).items()}.get("retry-after")
    return str(found[0] if isinstance(found, list) else found) if found else None
