"""Findings into Elasticsearch or OpenSearch, through `_bulk`.

Raw HTTP, because the official client refuses every server that is not Elastic's own, and OpenSearch
and its relatives are such servers; what is sent here works on all of them.
"""

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from alerts.base import Delivery, Partly, RetryLater
from alerts.destination_base import HttpSettings, Line, Place, TokenSettings
from alerts.ecs import to_ecs
from alerts.ocsf_fit import encoded
from alerts.posting import PASSES, Answer, Poster, judge, pieces, probed

MAX_BODY = 5_000_000  # bytes of one request before compression; servers take 100 MB
HINT = "is the url that of a cluster, and may this key write there?"
OPERATOR = frozenset({401, 403, 404})  # of a record: the index is missing, or not ours to write


class ElasticSettings(HttpSettings, TokenSettings):
    """Elasticsearch or OpenSearch, through `_bulk`, in ECS."""

    type: Literal["elastic"]
    index: Line = Field(
        default="logs-tripmeter.findings-default", description="data stream or index"
    )
    username: Line | None = Field(
        default=None, description="the token is its password; unset: the token is an API key"
    )

    def sink(self, name: str, place: Place) -> "ElasticSink":
        """Its sink."""
        return ElasticSink(
            name,
            self.url,
            self.secret(place.base).read,
            poster=self.poster(place),
            index=self.index,
            username=self.username,
        )


class ElasticSink:
    """One cluster.

    Args:
        token: reads the API key (as Elastic shows it, base64) or the password.
        username: None for an API key.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        *,
        poster: Poster,
        index: str,
        username: str | None = None,
    ) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/_bulk"
        self._token = token
        self._poster = poster
        self._index = index
        self._username = username

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts the batch, and reads what became of each record.

        Raises:
            RetryLater, Rejected: of the whole batch.
            Partly: of some records.
        """
        records = [to_bulk(each, self._index) for each in deliveries]
        taken: list[str] = []
        rejected: dict[str, str] = {}
        later: RetryLater | None = None
        rest = list(deliveries)
        for piece in pieces(records, MAX_BODY):
            these, rest = rest[: len(piece)], rest[len(piece) :]
            try:
                outcome = judge_items(self._post(b"".join(piece)), [each.key for each in these])
            except RetryLater as error:
                if not taken and not rejected:
                    raise
                later = error
                break
            taken += outcome.taken
            rejected |= outcome.rejected
            later = later or outcome.later
        if rejected or later:
            raise Partly(frozenset(taken), rejected, later)

    def probe(self) -> str:
        """Posts nothing at all: a cluster that takes the key complains about that.

        Raises:
            RetryLater: it does not take the key, or is no cluster.
        """
        return probed(self._post(b""), HINT)

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _post(self, body: bytes) -> Answer:
        headers = {
            "Authorization": _authorization(self._username, self._token()),
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
        }
        return self._poster.post(self._url, gzip.compress(body, 6, mtime=0), headers)


def to_bulk(delivery: Delivery, index: str) -> bytes:
    """Action and document, a line each. The id is the key, so a repetition is a 409."""
    action = {"create": {"_index": index, "_id": delivery.key}}
    return encoded(action) + b"\n" + encoded(to_ecs(delivery)) + b"\n"


def judge_items(answer: Answer, keys: Sequence[str]) -> Partly:
    """What became of each record: taken, refused for good, or to come again.

    Raises:
        RetryLater, Rejected: the whole request was refused, or its answer cannot be read.
    """
    judge(answer, HINT)
    try:
        told = json.loads(answer.body)
        errors, items = told["errors"], told["items"]
        if errors is False:  # what most answers are
            return Partly(frozenset(keys))
        outcomes = [_outcome(item) for item in items]
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        raise RetryLater(f"{answer.told}; is it an answer to _bulk?", operator=True) from None
    if len(outcomes) != len(keys):
        raise RetryLater(f"{len(keys)} records were sent, {len(outcomes)} answered for")
    taken, rejected = [], {}
    later: RetryLater | None = None
    for key, (status, reason) in zip(keys, outcomes, strict=True):
        if status < 300 or status == 409:  # it has this key already
            taken.append(key)
        elif status in PASSES or status >= 500:
            later = later or RetryLater(reason, answer.after_s)
        elif status in OPERATOR:
            later = RetryLater(reason, operator=True)
        else:
            rejected[key] = reason
    return Partly(frozenset(taken), rejected, later)


def _outcome(item: dict[str, Any]) -> tuple[int, str]:
    result = next(iter(item.values()))
    error = result.get("error") or {}
    if isinstance(error, str):
        error = {"reason": error}
    told = f"{error.get('type', '')}: {error.get('reason', '')}".strip(": ")
    return int(result["status"]), f"HTTP {result['status']}: {told}"[:300]


def _authorization(username: str | None, token: str) -> str:
    if username is None:
        return f"ApiKey {token}"
    return "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()
