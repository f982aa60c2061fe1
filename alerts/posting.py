"""One request over HTTP: its whole answer within a deadline, or a named error.

httpx is used as it is, without its redirects and retries: both belong to the outbox, which sends
the same records under the same key.
"""

import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerts.base import Partly, Rejected, RetryLater
from alerts.network import asked_to_wait, unreachable
from alerts.text import plain

if TYPE_CHECKING:
    import httpx

MAX_ANSWER = 4 * 2**20  # bytes of an answer that are read: of 500 records, each with its outcome
MAX_TOLD = 200  # characters of an answer that a reason repeats

PASSES = frozenset({408, 425, 429})  # beside 5xx
TOO_MUCH = frozenset({400, 413, 422})  # the content, not the connection

_HARMLESS = frozenset(
    {
        "content-encoding",
        "content-type",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
        "x-splunk-request-channel",
    }
)

Guard = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `after_s` is how long we were asked to wait."""

    status: int
    body: bytes
    after_s: float | None = None

    @property
    def told(self) -> str:
        """Status and the beginning of the text, for a reason."""
        text = plain(self.body[: 4 * MAX_TOLD].decode(errors="replace").strip(), MAX_TOLD)
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


class Poster:
    """Sends requests; use it from one thread.

    Args:
        ca_file: PEM file of the CA to trust instead of the public ones.
        timeout_s: for connecting, and for the whole answer.
        guard: looks at the address that was really connected to, before anything is sent; raises
            `RetryLater` to refuse it.
        proxies: use those of the environment (HTTPS_PROXY).
        client: used instead of one made when it is needed; it must not follow redirects.
        clock, wall: seconds; epoch seconds.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        timeout_s: float = 15.0,
        guard: Guard | None = None,
        proxies: bool = True,
        client: "httpx.Client | None" = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._guard = guard
        self._proxies = proxies
        self._client = client
        self._clock = clock
        self._wall = wall

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        hide: str = "",
    ) -> Answer:
        """Sends one request.

        Args:
            hide: a secret in the body. It and those in headers are taken out of the answer, because
                reasons repeat answers, and some servers repeat what they were sent.
        Raises:
            RetryLater: there was no (whole) answer in time.
        """
        import httpx

        if self._client is None:
            self._client = self._connect()
        extensions = {"trace": self._trace} if self._guard is not None else None
        deadline = self._clock() + self._timeout_s
        try:
            with self._client.stream(
                method,
                url,
                content=body,
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=self._timeout_s,
                extensions=extensions,
            ) as response:
                answer = self._read(response, deadline)
                retry_after = response.headers.get("Retry-After")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, zlib.error) as error:
            raise unreachable(error) from None
        now = datetime.fromtimestamp(self._wall(), UTC)
        for secret in (hide, *_secrets(headers)):
            if secret:
                answer = answer.replace(secret.encode(), b"***")
        return Answer(response.status_code, answer, asked_to_wait(retry_after, now))

    def close(self) -> None:
        """Closes the connections; using it again opens others."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _read(self, response: "httpx.Response", deadline: float) -> bytes:
        answer = b""
        for part in response.iter_raw():  # iter_bytes would inflate a bomb to its end
            answer += part
            if len(answer) > MAX_ANSWER:
                break
            if self._clock() > deadline:  # a byte at a time passes every other limit
                raise TimeoutError
        if response.headers.get("Content-Encoding", "").lower() == "gzip":  # though not asked for
            return zlib.decompressobj(wbits=31).decompress(answer, MAX_ANSWER)
        return answer

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete" and self._guard is not None:
            self._guard(str(info["return_value"].get_extra_info("server_addr")[0]))

    def _connect(self) -> "httpx.Client":
        import httpx

        context = tls_context(self._ca_file)
        return httpx.Client(verify=context, follow_redirects=False, trust_env=self._proxies)


def _secrets(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() not in _HARMLESS:
            yield value.rpartition(" ")[2]


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A client's context that verifies certificates and names.

    Raises:
        RetryLater: the CA file cannot be used; only an operator can help.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = f"ca_file: {ca_file}: {error.strerror or 'is not a PEM file'}"
        raise RetryLater(reason, operator=True) from None


def pieces(records: Sequence[bytes], limit: int) -> Iterator[list[bytes]]:
    """The records in order, in lists of at most `limit` bytes; a longer one stands alone.

    >>> list(pieces([b"aa", b"b", b"cccc", b"d"], 3))
    [[b'aa', b'b'], [b'cccc'], [b'd']]
    """
    piece: list[bytes] = []
    size = 0
    for record in records:
        if piece and size + len(record) > limit:
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += len(record)
    if piece:
        yield piece


def in_pieces(
    records: Sequence[tuple[str, bytes]], limit: int, post: Callable[[list[bytes]], object]
) -> None:
    """Posts records, each with its key, in requests of at most `limit` bytes.

    Raises:
        RetryLater, Rejected: as `post` does, of the first request.
        Partly: as it does, after some requests were taken.
    """
    taken: list[str] = []
    for piece in pieces([record for _, record in records], limit):
        try:
            post(piece)
        except (RetryLater, Rejected) as error:
            if not taken:
                raise
            later = error if isinstance(error, RetryLater) else RetryLater(str(error), 0.0)
            raise Partly(frozenset(taken), later=later) from None
        taken += [key for key, _ in records[len(taken) : len(taken) + len(piece)]]


def judge(answer: Answer, hint: str, rejected: frozenset[int] = TOO_MUCH) -> None:
    """Returns when the status says that everything was taken.

    Args:
        hint: a question for the operator when the status fits no working destination.
        rejected: statuses that refuse the content.
    Raises:
        RetryLater: it may be taken later, or only an operator can help.
        Rejected: the content is refused.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    if status in rejected:
        raise Rejected(answer.told)
    if status in PASSES or status >= 500:
        raise RetryLater(answer.told, answer.after_s)
    raise RetryLater(f"{answer.told}; {hint}", answer.after_s, operator=True)


def probed(answer: Answer, hint: str, fine: frozenset[int] = TOO_MUCH) -> str:
    """What an answer to an empty request says about the way to the destination.

    Args:
        fine: statuses that refuse nothing but the empty content.
    Raises:
        RetryLater: it does not work; the text says why.
    """
    if answer.status in fine:
        return f"answers (HTTP {answer.status} to an empty request)"
    judge(answer, hint)
    return f"answers (HTTP {answer.status})"
