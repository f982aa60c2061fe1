"""Findings to a webhook, signed as Standard Webhooks says.

The same `webhook-id` on every try; a receiver that knows it already answers 2xx. Signing is four
lines, so no client is used; the official libraries for Python verify what is sent here.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, ClassVar, Literal

from pydantic import Field

from alerts.base import Delivery, RetryLater
from alerts.destination_base import HttpSettings, Place, TokenSettings
from alerts.ocsf import body_of
from alerts.ocsf_fit import fitted
from alerts.posting import Poster, judge
from alerts.secret import Secret

MAX_BODY = 20_000  # bytes, as the specification advises
MAX_SECRETS = 4  # while they are rotated
EVENTS = {"create": "finding.created", "update": "finding.updated", "close": "finding.closed"}
_UNICAST = ip_network("2000::/3")  # what is not in it leads nowhere, or back (NAT64, ::127.0.0.1)
_SPECIAL = [ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]  # IANA's
HINT = "is the url that of the webhook, and does it know our secret?"


class WebhookSettings(HttpSettings, TokenSettings):
    """A webhook, signed as Standard Webhooks says; the token is its secret (whsec_...)."""

    type: Literal["webhook"]
    allow_private: bool = Field(
        default=False, description="allow an address of this machine or of a private network"
    )

    def sink(self, name: str, place: Place) -> "WebhookSink":
        """Its sink."""
        poster = Poster(
            ca_file=place.base / self.ca_file if self.ca_file else None,
            timeout_s=self.timeout_s,
            guard=None if self.allow_private else refuse_private,
            proxies=self.allow_private,  # behind a proxy nobody sees where a request goes
        )
        return WebhookSink(name, self.url, self.secret(place.base), poster=poster)


class WebhookSink:
    """One webhook.

    Args:
        secret: one `whsec_...`, or several with spaces between while they are rotated.
        wall: epoch seconds; receivers refuse what is signed minutes ago.
    """

    batch: ClassVar[int] = 1

    def __init__(
        self,
        name: str,
        url: str,
        secret: "Secret | Callable[[], str]",
        *,
        poster: Poster,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url
        self._secret = secret.read if isinstance(secret, Secret) else secret
        self._poster = poster
        self._wall = wall

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts one finding.

        Raises:
            RetryLater, Rejected: as the status says; 410 is for an operator.
        """
        for each in deliveries:
            body = to_webhook(each)
            headers = signed(each.key, int(self._wall()), body, self._secret())
            judge(self._poster.post(self._url, body, headers), HINT)

    def probe(self) -> str:
        """Looks at the secret and connects; a webhook cannot be asked without telling it something.

        Raises:
            RetryLater: the secret is none, or there is no answer at all.
        """
        signed("probe", 0, b"", self._secret())
        answer = self._poster.post(self._url, b"", {}, method="HEAD")
        return f"answers (HTTP {answer.status}; nothing was sent)"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()


def to_webhook(delivery: Delivery) -> bytes:
    """The body: type, time, and the OCSF record as data; never longer than `MAX_BODY`."""
    record = body_of(delivery)
    around = {
        "type": EVENTS[delivery.activity],
        "timestamp": delivery.finding.time.isoformat(),
        "data": "",
    }
    frame = json.dumps(around, separators=(",", ":")).encode()
    return frame[: -len(b'""}')] + fitted(record, MAX_BODY - len(frame)) + b"}"


def signed(id: str, timestamp: int, body: bytes, secrets: str) -> dict[str, str]:
    """The headers of one try.

    Args:
        secrets: `whsec_` and base64 each, with spaces between.
    Raises:
        RetryLater: one of them is no such secret; only an operator can help.
    """
    id = base64.urlsafe_b64encode(hashlib.sha256(id.encode()).digest()[:18]).decode()
    id = f"msg_{id}"  # a key may have characters that a header may not
    content = f"{id}.{timestamp}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(_key(secret), content, "sha256")).decode()
        for secret in secrets.split()[:MAX_SECRETS]
    ]
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _key(secret: str) -> bytes:
    prefix, _, text = secret.partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        reason = "the secret is not whsec_ and the base64 of 24 to 64 bytes"
        raise RetryLater(reason, operator=True)
    return key


def refuse_private(address: str) -> None:
    """Lets only public addresses pass.

    Raises:
        RetryLater: it belongs to this machine or a private network.
    """
    ip: Any = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    elsewhere = isinstance(ip, IPv6Address) and ip not in _UNICAST
    special = any(ip.version == each.version and ip in each for each in _SPECIAL)
    if elsewhere or special or not ip.is_global or ip.is_multicast:
        reason = f"{address} is not a public address; set allow_private = true if that is intended"
        raise RetryLater(reason, operator=True)
