"""Slack's web API as the sink needs it: paced, never repeated by itself, errors by what helps."""

import http.client
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from alerts.base import Rejected, RetryLater
from alerts.network import asked_to_wait, unreachable
from alerts.slack_told import Place

# Slack's `error` values, by what helps
LIMITED = frozenset({"rate_limited", "ratelimited", "message_limit_exceeded"})
PASSES = frozenset(
    {
        "fatal_error", "internal_error", "request_timeout", "service_unavailable",
        "team_added_to_org",
    }
)  # fmt: skip
REFUSED = frozenset(
    {
        "invalid_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_metadata_format",
        "invalid_metadata_schema", "metadata_too_large", "msg_blocks_too_long", "msg_too_long",
        "no_text", "too_many_attachments",
    }
)  # fmt: skip
DELETED = "message_not_found"
GONE = frozenset({DELETED, "cant_update_message", "edit_window_closed", "thread_not_found"})
PAGES = 10  # of 200 messages, looked through for one whose fate is unknown
SKEW_S = 600.0  # by which our clock may be ahead of Slack's
_CODE = re.compile("[a-z0-9_]{1,64}")
_ID = re.compile("[CDG][A-Z0-9]{2,}")
_ONLY_WHEN_POSTING = ("mrkdwn", "unfurl_links", "unfurl_media", "reply_broadcast")


class Unsure(RetryLater):
    """There was no (readable) answer: the message may have been posted."""


class Gone(Exception):
    """There is no such message to edit, or no such thread; the text is Slack's word for it."""


class NotAllowed(RetryLater):
    """The token lacks a scope for this."""


class Pacer:
    """Lets one message a second through; whoever posts into one channel shares it.

    Args:
        interval_s: least seconds between the answer to one message and the next message.
    """

    _shared: ClassVar["WeakValueDictionary[tuple[str, str], Pacer]"] = WeakValueDictionary()
    _guard = threading.Lock()

    def __init__(
        self,
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()
        self._turn = threading.Lock()

    @classmethod
    def of(cls, api_url: str, channel: str, interval_s: float) -> "Pacer":
        """The one of a channel."""
        with cls._guard:
            pacer = cls._shared.get((api_url, channel))
            if pacer is None:
                pacer = cls._shared[api_url, channel] = cls(interval_s)
            return pacer

    def __enter__(self) -> None:
        self._turn.acquire()
        wait = self._free_at - self._clock()
        if wait > 0:
            self._sleep(wait)

    def __exit__(self, *exception: object) -> None:
        self._free_at = self._clock() + self._interval_s
        self._turn.release()


class Calls:
    """One workspace, as one bot.

    Args:
        token: reads the bot token; asked before every call, so that a new one counts at once.
        pacer: of the channel messages go to.
    """

    def __init__(
        self,
        token: Callable[[], str],
        pacer: Pacer,
        *,
        api_url: str = "https://slack.com/api/",
        timeout_s: float = 15,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._token = token
        self._pacer = pacer
        self._wall = wall
        # Slack knows no idempotency key: only the outbox may send again
        self._client = WebClient(base_url=api_url, timeout=timeout_s, retry_handlers=[])  # type: ignore[arg-type]

    def post(self, message: Mapping[str, Any], channel: str, thread: str | None = None) -> Place:
        """Posts a message, or a reply.

        Raises:
            RetryLater, Rejected: it was not posted, as Slack's answer says.
            Unsure: it may have been posted.
            Gone: there is no such thread.
        """
        where = {"channel": channel} | ({"thread_ts": thread} if thread else {})
        with self._pacer:
            answer = self.ask("chat_postMessage", **where, **message)
        found, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(found, str) or not isinstance(ts, str):
            raise Unsure("Slack's answer does not say where the message is")
        return Place(found, ts)

    def edit(self, message: Mapping[str, Any], place: Place) -> None:
        """Edits a message.

        Raises:
            RetryLater, Rejected: as Slack's answer says.
            Gone: there is no such message to edit.
        """
        parts = {k: v for k, v in message.items() if k not in _ONLY_WHEN_POSTING}
        with self._pacer:
            self.ask("chat_update", channel=place.channel, ts=place.ts, **parts)

    def upload(self, picture: bytes, name: str, title: str, place: Place) -> None:
        """Puts a picture into a message's thread.

        Raises:
            RetryLater, Rejected, Gone: as Slack's answer says.
        """
        with self._pacer:  # the last of its three calls posts
            self.ask(
                "files_upload_v2", content=picture, filename=name, title=title, alt_txt=title,
                request_file_info=False, channel=place.channel, thread_ts=place.ts,
            )  # fmt: skip

    def find(
        self,
        channel: str,
        since: float,
        match: Callable[[dict[str, Any]], bool],
        thread: str | None = None,
    ) -> dict[str, Any] | None:
        """The newest message of a channel (or a thread) that matches.

        Args:
            since: epoch seconds; what is older than that by `SKEW_S` is not looked at.
        Raises:
            RetryLater: it cannot be known now.
            NotAllowed: it cannot be known at all.
        """
        where: dict[str, Any] = {"channel": self.id_of(channel), "include_all_metadata": True}
        where |= {"oldest": f"{since - SKEW_S:.6f}", "limit": 200}
        method = "conversations_replies" if thread else "conversations_history"
        where |= {"ts": thread} if thread else {}
        for _ in range(PAGES):
            answer = self.ask(method, **where)
            for message in answer.get("messages") or []:
                if isinstance(message, dict) and match(message) and message.get("ts"):
                    return message
            where["cursor"] = (answer.get("response_metadata") or {}).get("next_cursor")
            if not where["cursor"]:
                return None
        return None

    def id_of(self, channel: str) -> str:
        """The id of a channel that may be given as #name.

        Raises:
            RetryLater: no channel that the bot can see has that name.
        """
        if _ID.fullmatch(channel):
            return channel
        kinds, cursor = "public_channel,private_channel", None
        for _ in range(PAGES):
            answer = self.ask(
                "conversations_list", types=kinds, limit=999, cursor=cursor, exclude_archived=True
            )
            for each in answer.get("channels") or []:
                if each.get("name") == channel.lstrip("#"):
                    return str(each["id"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        raise RetryLater(f"Slack: the bot sees no channel {channel}", operator=True)

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Any method.

        Raises:
            RetryLater, Rejected, Unsure, NotAllowed, Gone: as Slack's answer says.
        """
        token = self._token()
        try:
            answer = getattr(self._client, method)(token=token, **arguments)
        except SlackApiError as error:
            raise self._outcome(error) from None
        except (SlackClientError, http.client.HTTPException, OSError) as error:
            outcome = unreachable(error)
            if outcome.operator or "refused" in str(outcome):
                raise outcome from None
            raise Unsure(str(outcome)) from None
        data = answer.data
        if not isinstance(data, dict):
            raise Unsure("Slack: an answer that is not JSON")
        return data

    def _outcome(self, error: SlackApiError) -> Exception:
        response: Any = error.response
        status = getattr(response, "status_code", None)
        data = getattr(response, "data", response)
        said = data.get("error") if isinstance(data, dict) else None
        code = said if isinstance(said, str) and _CODE.fullmatch(said) else None
        if code in GONE:
            return Gone(code)
        now = datetime.fromtimestamp(self._wall(), UTC)
        asked = asked_to_wait(_retry_after(getattr(response, "headers", None)), now)
        reason = f"Slack: {code}" if code else f"Slack: HTTP {status}"
        if code in LIMITED or status == 429:
            return RetryLater(reason, asked)
        if code in PASSES or (isinstance(status, int) and status >= 500):
            return Unsure(reason, asked)
        if code in REFUSED or status == 413:
            return Rejected(reason)
        if code is None and status in (None, 200):
            return Unsure("Slack: an answer that is not JSON", asked)
        # a token, a scope, a channel, or something new: nothing that time alone will mend
        told = f"{reason}; check token, scopes and channel"
        if code in ("missing_scope", "not_allowed_token_type"):
            return NotAllowed(told, asked, operator=True)
        return RetryLater(told, asked, operator=True)


def _retry_after(headers: Any) -> str | None:
    if not headers:
        return None
    found = {str(name).lower(): value for name, value in dict(headers).items()}.get("retry-after")
    return str(found[0] if isinstance(found, list) else found) if found else None
