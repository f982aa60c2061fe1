"""Findings into Google SecOps (Chronicle), as raw logs of one log type.

google-auth makes the tokens, for a service account's file or the machine's own identity. The
request is raw HTTP: the official SDK wants a forwarder of its own making and hides the statuses.
"""

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from alerts.base import Delivery, RetryLater
from alerts.destination_base import HttpSettings, Line, Place
from alerts.ocsf import body_of
from alerts.ocsf_fit import fitted
from alerts.posting import Poster, in_pieces, judge

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MAX_BODY = 950_000  # bytes of one request's logs
MAX_LOG = 500_000  # bytes of one record, before base64
HINT = "are project, location, instance and log_type right, and may this account import logs?"

Part = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class SecOpsSettings(HttpSettings):
    """Google SecOps (Chronicle); without a file, the machine's own identity."""

    type: Literal["secops"]
    url: Line = Field(
        default="https://us-chronicle.googleapis.com", description="of the region's API"
    )
    version: Literal["v1alpha", "v1beta", "v1"] = Field(default="v1alpha", description="of the API")
    project: Part = Field(description="Google Cloud project")
    location: Part = Field(default="us", description="region of the instance")
    instance: Part = Field(description="customer id of the instance")
    log_type: Part = Field(default="OCSF", description="log type, with a parser of yours for it")
    forwarder: Part | None = Field(default=None, description="id of a forwarder to name as source")
    namespace: Line | None = Field(default=None, description="environment namespace of the logs")
    credentials_file: Path | None = Field(
        default=None, description="JSON file of a service account"
    )

    def sink(self, name: str, place: Place) -> "SecOpsSink":
        """Its sink."""
        parent = f"projects/{self.project}/locations/{self.location}/instances/{self.instance}"
        poster = self.poster(place)
        file = place.base / self.credentials_file if self.credentials_file else None
        path = f"{self.version}/{parent}/logTypes/{self.log_type}/logs:import"
        return SecOpsSink(
            name,
            f"{self.url.rstrip('/')}/{path}",
            GoogleToken(file, self.poster(place)),
            poster=poster,
            forwarder=f"{parent}/forwarders/{self.forwarder}" if self.forwarder else None,
            namespace=self.namespace,
        )


class SecOpsSink:
    """One log type of one instance.

    Args:
        url: of its `logs:import`.
        forwarder: full name of the forwarder, if one is named as source.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        *,
        poster: Poster,
        forwarder: str | None = None,
        namespace: str | None = None,
    ) -> None:
        self.name = name
        self._url = url
        self._token = token
        self._poster = poster
        self._forwarder = forwarder
        self._namespace = namespace

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts the records.

        Raises:
            RetryLater, Rejected, Partly: as the service's statuses say.
        """
        logs = [
            (each.key, json.dumps(to_log(each, self._namespace)).encode()) for each in deliveries
        ]
        in_pieces(logs, MAX_BODY, self._post)

    def probe(self) -> str:
        """Gets a token; nothing can be asked without storing something.

        Raises:
            RetryLater: there is none.
        """
        self._token()
        return "gives a token (nothing was sent)"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _post(self, logs: list[bytes]) -> None:
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        forwarder = f',"forwarder":{json.dumps(self._forwarder)}' if self._forwarder else ""
        body = b'{"inlineSource":{"logs":[%s]%s}}' % (b",".join(logs), forwarder.encode())
        judge(self._poster.post(self._url, gzip.compress(body, 6, mtime=0), headers), HINT)


def to_log(delivery: Delivery, namespace: str | None = None) -> dict[str, Any]:
    """One entry of `logs`: the OCSF record as base64, times in RFC 3339, labels to filter by."""
    finding, body = delivery.finding, body_of(delivery)
    labels = {
        "key": delivery.key,
        "detector": finding.detector,
        "severity": finding.severity.value,
        "tenant": finding.tenant or "",
    }
    log: dict[str, Any] = {
        "data": base64.b64encode(fitted(body, MAX_LOG)).decode(),
        "logEntryTime": _instant(body["time"]),
        "collectionTime": _instant(body["time"]),
        "labels": {name: {"value": value} for name, value in labels.items() if value},
    }
    if namespace is not None:
        log["environmentNamespace"] = namespace
    return log


def _instant(milliseconds: int) -> str:
    instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class GoogleToken:
    """Reads a token when it is called; it is kept until it is about to end.

    Args:
        file: of a service account, read again when it changes; None is the machine's identity.
        poster: asks for tokens.
    """

    def __init__(self, file: Path | None, poster: Poster) -> None:
        self._file = file
        self._poster = poster
        self._made: tuple[bytes, Any] | None = None

    def __call__(self) -> str:
        """The token.

        Raises:
            RetryLater: there is none.
        """
        try:
            from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
        except ImportError:
            raise RetryLater(
                "google-auth is not installed: pip install '.[secops]'", operator=True
            ) from None
        try:
            credentials = self._credentials()
            if not credentials.valid:
                credentials.refresh(self._request)
            return str(credentials.token)
        except TransportError as error:
            raise RetryLater(f"no token: {error}"[:200]) from None
        except RefreshError as error:
            raise RetryLater(f"no token: {error}"[:200], operator=True) from None
        except (GoogleAuthError, AttributeError, KeyError, TypeError, ValueError):
            reason = f"credentials_file: {self._file}: is not a service account's JSON"
            raise RetryLater(reason, operator=True) from None

    def _credentials(self) -> Any:
        import google.auth
        from google.oauth2.service_account import Credentials

        try:
            told = self._file.read_bytes() if self._file else b""
        except OSError as error:
            reason = f"credentials_file: {self._file}: {error.strerror}"
            raise RetryLater(reason, operator=True) from None
        if self._made is None or self._made[0] != told:
            if self._file is not None:
                make: Any = Credentials.from_service_account_info
                made = make(json.loads(told), scopes=[SCOPE])
            else:
                made, _ = google.auth.default(scopes=[SCOPE])
            self._made = (told, made)
        return self._made[1]

    def _request(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **_: Any,
    ) -> "_Response":
        """What google-auth calls a transport."""
        answer = self._poster.post(url, body or b"", headers or {}, method=method)
        return _Response(answer.status, answer.body)


class _Response:
    def __init__(self, status: int, data: bytes) -> None:
        self.status = status
        self.data = data
        self.headers: dict[str, str] = {}
