"""Findings into Splunk, through its HTTP Event Collector.

Taken means status 200 with code 0; with indexer acknowledgement, that every request was also
reported as indexed. Raw HTTP: no client for Python knows acknowledgement or tells the codes apart.
"""

import gzip
import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import Field

from alerts.base import Delivery, Rejected, RetryLater
from alerts.destination_base import HttpSettings, Line, Place, TokenSettings
from alerts.ocsf import body_of
from alerts.ocsf_fit import encoded
from alerts.posting import Answer, Poster, in_pieces, pieces

MAX_BODY = 900_000  # bytes of one request before compression; Splunk Cloud takes 1 MB
FIRST_ASK_S, LAST_ASK_S = 0.1, 5.0  # pauses between two questions after acknowledgements

NO_DATA = 5
BUSY = frozenset({8, 9})  # internal error, server busy
REFUSED = frozenset({NO_DATA, 6, 12, 13})  # no data, bad format, event missing, event blank
# token disabled, missing, invalid (twice); wrong index; channel missing or bad; ack off
MISCONFIGURED = frozenset({1, 2, 3, 4, 7, 10, 11, 14})
HINT = "is the url that of a collector?"


class SplunkHecSettings(HttpSettings, TokenSettings):
    """A Splunk HTTP Event Collector."""

    type: Literal["splunk_hec"]
    index: Line | None = Field(default=None, description="index; unset means the token's own")
    source: Line = "tripmeter"
    sourcetype: Line = "tripmeter:finding"
    host: Line | None = None
    acknowledge: bool = Field(
        default=False, description="wait until indexers have it; the token must allow it"
    )
    acknowledge_timeout_s: Annotated[float, Ge(1), Le(3600)] = Field(
        default=120, description="after which records not acknowledged are sent again"
    )

    def sink(self, name: str, place: Place) -> "SplunkHecSink":
        """Its sink."""
        return SplunkHecSink(
            name,
            self.url,
            self.secret(place.base).read,
            index=self.index,
            source=self.source,
            sourcetype=self.sourcetype,
            host=self.host,
            acknowledge_s=self.acknowledge_timeout_s if self.acknowledge else None,
            poster=self.poster(place),
        )


class SplunkHecSink:
    """One collector.

    Args:
        url: of the collector, without its path.
        token: reads the token; asked before every request, so that a new one counts at once.
        index, source, sourcetype, host: Splunk's metadata of every record.
        acknowledge_s: how long indexers have to acknowledge; None does not ask them.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        *,
        poster: Poster,
        index: str | None = None,
        source: str = "tripmeter",
        sourcetype: str = "tripmeter:finding",
        host: str | None = None,
        acknowledge_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/services/collector"
        self._token = token
        self._poster = poster
        self._acknowledge_s = acknowledge_s
        self._channel = str(uuid.uuid4())
        self._clock = clock
        self._sleep = sleep
        named = {"index": index, "source": source, "sourcetype": sourcetype, "host": host}
        self._names = {key: value for key, value in named.items() if value is not None}

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts the records, and waits for their acknowledgements.

        Raises:
            RetryLater, Rejected, Partly: as the collector's codes and statuses say.
        """
        records = to_hec(deliveries, self._names)
        if self._acknowledge_s is None:
            keys = [each.key for each in deliveries]
            return in_pieces(list(zip(keys, records, strict=True)), MAX_BODY, self._take)
        acks = {ack_id(self._take(piece)) for piece in pieces(records, MAX_BODY)}
        return self._indexed(acks, self._clock() + self._acknowledge_s)

    def probe(self) -> str:
        """Posts nothing at all: a collector that takes the token complains that there is no data.

        Raises:
            RetryLater: it does not take the token, or is no collector.
        """
        answer = self._post("/event", gzip.compress(b"", mtime=0))
        if _read(answer.body)[0] == NO_DATA:
            return "takes the token"
        try:
            judge_answer(answer)
        except Rejected as error:
            raise RetryLater(str(error)) from None
        return "answers"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _take(self, records: list[bytes]) -> Answer:
        answer = self._post("/event", gzip.compress(b"\n".join(records), 6, mtime=0))
        judge_answer(answer)
        return answer

    def _post(self, path: str, body: bytes, *, packed: bool = True) -> Answer:
        headers = {"Authorization": f"Splunk {self._token()}", "Content-Type": "application/json"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        if self._acknowledge_s is not None:
            headers["X-Splunk-Request-Channel"] = self._channel
        return self._poster.post(self._url + path, body, headers)

    def _indexed(self, acks: set[int], deadline: float) -> None:
        pause = FIRST_ASK_S
        while True:
            asked = json.dumps({"acks": sorted(acks)}).encode()
            answer = self._post(f"/ack?channel={self._channel}", asked, packed=False)
            acks -= acknowledged(answer)  # each is reported once, then forgotten
            if not acks:
                return
            if self._clock() + pause > deadline:
                waited = f"{self._acknowledge_s:g} s"
                raise RetryLater(f"{len(acks)} requests were accepted but not indexed in {waited}")
            self._sleep(pause)
            pause = min(LAST_ASK_S, pause * 1.5)


def to_hec(deliveries: Sequence[Delivery], names: dict[str, str]) -> list[bytes]:
    """A record each; a body has one after the other. Time is epoch seconds."""
    return [encoded(_record(each, body_of(each), names)) for each in deliveries]


def _record(delivery: Delivery, body: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    finding = delivery.finding
    fields = {
        "key": delivery.key,
        "finding_id": finding.id,
        "revision": str(finding.revision),
        "activity": delivery.activity,
        "detector": finding.detector,
        "severity": finding.severity.value,
    }
    return {"time": body["time"] / 1000, **names, "event": body, "fields": fields}


def judge_answer(answer: Answer) -> None:
    """Returns when the collector has taken the batch.

    Raises:
        RetryLater: it may take it later; or only an operator can help, or it is no collector.
        Rejected: a record is not what it takes.
    """
    code, text = _read(answer.body)
    status, after_s = answer.status, answer.after_s
    reason = f"HTTP {status}, code {code}: {text}" if code is not None else f"HTTP {status}"
    if status == 200 and code == 0:
        return
    if code in MISCONFIGURED and status != 200:
        raise RetryLater(reason, after_s, operator=True)
    if (code in REFUSED and status == 400) or status in (413, 422):
        raise Rejected(reason)
    if code in BUSY or status == 200 or status in (408, 425, 429) or status >= 500:
        raise RetryLater(reason, after_s)
    # anything else did not come from a collector that works: wrong address, proxy, login page
    raise RetryLater(f"{reason}; {HINT}", after_s, operator=True)


def ack_id(answer: Answer) -> int:
    """The number under which a request's acknowledgement can be asked for.

    Raises:
        RetryLater: the token does not allow acknowledgement.
    """
    number = _object(answer.body).get("ackId")
    if type(number) is not int:
        raise RetryLater("no ackId: enable acknowledgement for this token", operator=True)
    return number


def acknowledged(answer: Answer) -> set[int]:
    """The requests that are indexed.

    Raises:
        RetryLater: as of `judge_answer`.
    """
    told = _object(answer.body).get("acks")
    if answer.status != 200 or not isinstance(told, dict):
        try:
            judge_answer(answer)
        except Rejected as error:  # of the question, not of a record
            raise RetryLater(str(error)) from None
        raise RetryLater("the answer about acknowledgements cannot be read")
    return set(_numbers(name for name, done in told.items() if done is True))


def _numbers(names: Iterable[str]) -> Iterable[int]:
    return (int(name) for name in names if name.isascii() and name.isdecimal())


def _read(body: bytes) -> tuple[int | None, str]:
    answer = _object(body)
    if type(answer.get("code")) is not int:
        return None, ""
    return answer["code"], str(answer.get("text", ""))[:200]


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
