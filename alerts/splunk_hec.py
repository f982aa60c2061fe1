"""Findings into Splunk, through its HTTP Event Collector.

Success is status 200 with code 0. Indexer acknowledgement is not asked for: what the collector has
accepted counts as delivered.
"""

import gzip
import json
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx

from alerts.base import Delivery, Rejected, RetryLater
from alerts.network import asked_to_wait, unreachable
from alerts.ocsf import to_ocsf

MAX_ANSWER = 64 * 1024  # bytes of an answer that are read

BUSY = frozenset({8, 9})  # internal error, server busy
REFUSED = frozenset({5, 6, 12, 13})  # no data, bad format, event missing, event blank
# token disabled, missing, invalid (twice); wrong index; channel missing or bad; ack off
MISCONFIGURED = frozenset({1, 2, 3, 4, 7, 10, 11, 14})


class SplunkHecSink:
    """One collector.

    Args:
        url: of the collector, without its path.
        token: reads the token; asked before every request, so that a new one counts at once.
        index, source, sourcetype, host: Splunk's metadata of every record.
        ca_file: PEM file of the CA to trust instead of the public ones.
        timeout_s: for connecting, and for the whole answer.
        client: used instead of one made when it is needed; never follows redirects.
    """

    batch: ClassVar[int] = 200

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        *,
        index: str | None = None,
        source: str = "tripmeter",
        sourcetype: str = "tripmeter:finding",
        host: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 15.0,
        client: httpx.Client | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/services/collector/event"
        self._token = token
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._clock = clock
        self._wall = wall
        self._client = client
        named = {"index": index, "source": source, "sourcetype": sourcetype, "host": host}
        self._names = {key: value for key, value in named.items() if value is not None}

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts one batch.

        Raises:
            RetryLater, Rejected: as the collector's code and status say.
        """
        headers = {
            "Authorization": f"Splunk {self._token()}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        body = gzip.compress(to_hec(deliveries, self._names), mtime=0)
        try:
            status, retry_after, answer = self._post(headers, body)
        except (httpx.HTTPError, OSError) as error:
            raise unreachable(error) from None
        now = datetime.fromtimestamp(self._wall(), UTC)
        judge_answer(status, answer, asked_to_wait(retry_after, now))

    def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _post(self, headers: dict[str, str], body: bytes) -> tuple[int, str | None, bytes]:
        if self._client is None:
            self._client = self._connect()
        deadline = self._clock() + self._timeout_s
        with self._client.stream(
            "POST", self._url, headers=headers, content=body, timeout=self._timeout_s
        ) as response:
            answer = b""
            for part in response.iter_bytes():
                answer += part
                if len(answer) > MAX_ANSWER:
                    break
                if self._clock() > deadline:  # a byte at a time passes every other limit
                    raise TimeoutError
            return response.status_code, response.headers.get("Retry-After"), answer

    def _connect(self) -> httpx.Client:
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            reason = f"ca_file: {self._ca_file}: {error.strerror or 'is not a PEM file'}"
            raise RetryLater(reason, operator=True) from None
        return httpx.Client(verify=context, follow_redirects=False)


def to_hec(deliveries: Sequence[Delivery], names: dict[str, str]) -> bytes:
    """The body: one JSON object after the other, as Splunk wants them. Time is epoch seconds."""
    records: list[dict[str, Any]] = [
        {
            "time": each.finding.time.timestamp(),
            **names,
            "event": to_ocsf(each.finding),
            "fields": {
                "key": each.key,
                "finding_id": each.finding.id,
                "revision": str(each.finding.revision),
                "detector": each.finding.detector,
                "severity": each.finding.severity.value,
            },
        }
        for each in deliveries
    ]
    return "\n".join(json.dumps(record, separators=(",", ":")) for record in records).encode()


def judge_answer(status: int, body: bytes, asked_s: float | None) -> None:
    """Returns when the collector has taken the batch.

    Raises:
        RetryLater: it may take it later; or only an operator can help, or it is no collector.
        Rejected: a record is not what it takes.
    """
    code, text = _read(body)
    reason = f"HTTP {status}, code {code}: {text}" if code is not None else f"HTTP {status}"
    if status == 200 and code == 0:
        return
    if code in MISCONFIGURED and status != 200:
        raise RetryLater(reason, asked_s, operator=True)
    if (code in REFUSED and status == 400) or status in (413, 422):
        raise Rejected(reason)
    if code in BUSY or status == 200 or status in (408, 425, 429) or status >= 500:
        raise RetryLater(reason, asked_s)
    # anything else did not come from a collector that works: wrong address, proxy, login page
    raise RetryLater(f"{reason}; is the url that of a collector?", asked_s, operator=True)


def _read(body: bytes) -> tuple[int | None, str]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(answer, dict) or type(answer.get("code")) is not int:
        return None, ""
    return answer["code"], str(answer.get("text", ""))[:200]
