"""Findings into Microsoft Sentinel, through Azure Monitor's Logs Ingestion API.

azure-identity makes the tokens, for a client secret or a managed identity. The request itself is
raw HTTP: the official client cuts and repeats on its own and then tells of neither, and cutting and
repeating are the outbox's business.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import Field, StringConstraints, field_validator, model_validator

from alerts.base import Delivery, RetryLater
from alerts.destination_base import (
    HttpSettings,
    Line,
    OptionalTokenSettings,
    Place,
    checked_url,
    require_https,
)
from alerts.evidence import values
from alerts.ocsf import body_of, severity_name
from alerts.ocsf_fit import encoded, fitted
from alerts.posting import Poster, in_pieces, judge

API_VERSION = "2023-01-01"
MAX_BODY = 950_000  # bytes of one request before compression; the service takes 1 MB
MAX_OCSF = 60_000  # bytes of the dynamic column; the service cuts columns at 64 kB
MAX_SUMMARY = 8_000  # characters
HINT = "are url, rule_id and stream right, and has this identity the role on the rule?"


class SentinelSettings(HttpSettings, OptionalTokenSettings):
    """Microsoft Sentinel (Azure Monitor Logs Ingestion); without a secret, a managed identity."""

    type: Literal["sentinel"]
    url: Line = Field(
        description="of the data collection endpoint, https://...ingest.monitor.azure.com"
    )
    rule_id: Annotated[str, StringConstraints(pattern=r"^dcr-[0-9a-zA-Z-]{1,64}$")] = Field(
        description="immutable id of the data collection rule"
    )
    stream: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,127}$")] = Field(
        default="Custom-TripmeterFindings_CL", description="stream of that rule"
    )
    tenant_id: Line | None = Field(default=None, description="Entra tenant; with a secret")
    client_id: Line | None = Field(
        default=None, description="application; or the managed identity, when there are several"
    )
    authority: Line = Field(
        default="https://login.microsoftonline.com", description="who gives tokens"
    )
    scope: Line = Field(default="https://monitor.azure.com//.default", description="of the token")

    @field_validator("authority")
    @classmethod
    def _authority(cls, value: str) -> str:
        require_https("authority", checked_url(value), allowed=False)
        return value

    @model_validator(mode="after")
    def _identity(self) -> Self:
        if (self.token_file or self.token_env) and not (self.tenant_id and self.client_id):
            raise ValueError("a client secret needs tenant_id and client_id")
        return self

    def sink(self, name: str, place: Place) -> "SentinelSink":
        """Its sink."""
        secret = self.secret(place.base)
        token = EntraToken(
            self.scope,
            authority=self.authority,
            tenant_id=self.tenant_id,
            client_id=self.client_id,
            secret=secret.read if secret else None,
            ca_file=place.base / self.ca_file if self.ca_file else None,
        )
        return SentinelSink(
            name, self.url, self.rule_id, self.stream, token, poster=self.poster(place)
        )


class SentinelSink:
    """One stream of one data collection rule."""

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        url: str,
        rule_id: str,
        stream: str,
        token: Callable[[], str],
        *,
        poster: Poster,
    ) -> None:
        self.name = name
        path = f"dataCollectionRules/{quote(rule_id)}/streams/{quote(stream)}"
        self._url = f"{url.rstrip('/')}/{path}?api-version={API_VERSION}"
        self._token = token
        self._poster = poster

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts the rows.

        Raises:
            RetryLater, Rejected, Partly: as the service's statuses say.
        """
        rows = [(each.key, encoded(to_row(each))) for each in deliveries]
        in_pieces(rows, MAX_BODY, self._post)

    def probe(self) -> str:
        """Gets a token and posts no rows.

        Raises:
            RetryLater: there is no token, or the service does not take it.
        """
        self._post([])
        return "takes the token"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _post(self, rows: list[bytes]) -> None:
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        body = gzip.compress(b"[" + b",".join(rows) + b"]", 6, mtime=0)
        judge(self._poster.post(self._url, body, headers), HINT)


def to_row(delivery: Delivery) -> dict[str, Any]:
    """The columns; the data collection rule drops those it does not know."""
    finding, body = delivery.finding, body_of(delivery)
    return {
        "TimeGenerated": datetime.fromtimestamp(body["time"] / 1000, UTC).isoformat(),
        "RecordKey": delivery.key,
        "FindingUid": finding.id,
        "Revision": finding.revision,
        "Activity": body["activity_name"],
        "Status": body["status"],
        "RuleId": finding.detector,
        "RuleName": finding.title,
        "Family": finding.family,
        "Severity": severity_name(finding.severity),
        "Tenant": finding.tenant,
        "EntityType": finding.entity.lane,
        "EntityId": finding.entity.id,
        "SrcIpAddr": next(iter(values(finding, "client_address")), None),
        "Summary": finding.summary[:MAX_SUMMARY],
        "CostUsd": finding.cost_usd,
        "Probability": finding.probability,
        "IsAlert": finding.mode == "active",
        "Ocsf": _within(body, MAX_OCSF),
    }


def _within(body: dict[str, Any], limit: int) -> Any:
    return body if len(encoded(body)) <= limit else json.loads(fitted(body, limit))


class EntraToken:
    """Reads a token when it is called; azure-identity keeps it until it is about to end.

    Args:
        secret: reads the client secret; None uses the machine's managed identity.
        ca_file: PEM file of the CA to trust for the authority instead of the public ones.
    """

    def __init__(
        self,
        scope: str,
        *,
        authority: str,
        tenant_id: str | None,
        client_id: str | None,
        secret: Callable[[], str] | None,
        ca_file: Path | None = None,
    ) -> None:
        self._scope = scope
        self._authority = authority
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._secret = secret
        self._ca_file = ca_file
        self._made: tuple[str | None, Any] | None = None

    def __call__(self) -> str:
        """The token.

        Raises:
            RetryLater: there is none.
        """
        try:
            from azure.core.exceptions import AzureError, ClientAuthenticationError
        except ImportError:
            raise RetryLater(
                "azure-identity is not installed: pip install '.[sentinel]'", operator=True
            ) from None
        secret = self._secret() if self._secret else None
        if self._made is None or self._made[0] != secret:  # a new secret counts at once
            self._made = (secret, self._credential(secret))
        try:
            return str(self._made[1].get_token(self._scope).token)
        except ClientAuthenticationError as error:
            raise RetryLater(f"no token: {_first_line(error)}", operator=True) from None
        except AzureError as error:
            raise RetryLater(f"no token: {_first_line(error)}") from None

    def _credential(self, secret: str | None) -> Any:
        from azure.identity import ClientSecretCredential, ManagedIdentityCredential

        if secret is None or self._tenant_id is None or self._client_id is None:
            return ManagedIdentityCredential(client_id=self._client_id)
        more: dict[str, Any] = {"connection_verify": str(self._ca_file)} if self._ca_file else {}
        return ClientSecretCredential(
            self._tenant_id,
            self._client_id,
            secret,
            authority=self._authority,
            retry_total=0,
            disable_instance_discovery=True,  # the authority is the operator's choice
            **more,
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]
