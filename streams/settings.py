"""The configuration file: every setting, its unit and its default, as pydantic models."""

import ipaddress
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alerts.feed.settings import FeedSettings
from streams.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from alerts.incident import Policy

MIB = 2**20
GIB = 2**30
DAY_S = 86_400


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Table):
    """Where events come in, and how much of them at a time."""

    listen: str = Field(
        default="127.0.0.1:8787", description="address and port of the ingest endpoints"
    )
    allow_remote: bool = Field(
        default=False, description="allow listening on an address other machines can reach"
    )
    max_body_bytes: Annotated[int, Ge(1024)] = Field(
        default=64 * MIB, description="largest request body as sent; more is answered with 413"
    )
    max_inflated_bytes: Annotated[int, Ge(1024)] = Field(
        default=64 * MIB, description="largest request body after gunzip; more is answered with 413"
    )
    max_bytes_in_flight: Annotated[int, Ge(1024)] = Field(
        default=256 * MIB, description="bodies held at once, together; more is answered with 503"
    )
    adapter_threads: Annotated[int, Ge(1), Le(64)] = Field(
        default=2, description="threads that turn bodies into events"
    )
    clock_ahead_s: Annotated[float, Gt(0)] = Field(
        default=300, description="seconds an event may be ahead of this machine's clock"
    )
    progress_budget_s: Annotated[float, Gt(0)] = Field(
        default=30,
        description="seconds without progress, with events waiting, until /readyz says 503",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        split_address(value)
        return value

    @model_validator(mode="after")
    def _loopback(self) -> "ServerSettings":
        host, _ = split_address(self.listen)
        if not self.allow_remote and not is_loopback(host):
            raise ValueError(
                f"{host} can be reached from other machines; "
                "set allow_remote = true if that is intended"
            )
        return self


class JournalSettings(_Table):
    """How long accepted events are kept."""

    keep_days: Annotated[float, Gt(0)] = Field(
        default=14, description="age at which judged events go"
    )
    keep_bytes: Annotated[int, Ge(MIB)] = Field(
        default=4 * GIB, description="size down to which the oldest judged events go"
    )
    max_bytes: Annotated[int, Ge(MIB)] = Field(
        default=8 * GIB, description="size at which unjudged events make ingest answer 503"
    )


class StoreSettings(_Table):
    """Findings, snapshots, rollups."""

    snapshot_every_s: Annotated[float, Gt(0)] = Field(
        default=30, description="seconds between snapshots of the core"
    )
    snapshot_every_events: Annotated[int, Ge(1)] = Field(
        default=1_000_000, description="events between snapshots, if that comes first"
    )
    anchor_every_s: Annotated[float, Gt(0)] = Field(
        default=DAY_S, description="seconds between snapshots kept for `explain`"
    )
    rollups_keep_days: Annotated[float, Gt(0)] = Field(
        default=30, description="event time for which closed windows are kept"
    )
    max_rollups: Annotated[int, Ge(1)] = Field(default=1_000_000, description="closed windows kept")
    max_findings: Annotated[int, Ge(1000)] = Field(
        default=1_000_000, description="finding revisions kept; the oldest go first"
    )
    findings_file: str | None = Field(
        default="findings.ocsf.ndjson",
        description='OCSF file in the data directory; "" turns it off',
    )
    database_env: str = Field(
        default="", description="variable with the URL of a PostgreSQL database, for several hosts"
    )

    def url(self) -> str | None:
        """The database's URL; None for the file in the data directory.

        Raises:
            ValueError: the variable is not set.
        """
        if not self.database_env:
            return None
        if not (url := os.environ.get(self.database_env)):
            raise ValueError(f"the variable {self.database_env} is not set")
        return url


class IncidentSettings(_Table):
    """How long incidents, acknowledgements and snoozes last."""

    quiet_hours: Annotated[float, Gt(0)] = Field(
        default=6, description="an open incident without a new finding for so long resolves itself"
    )
    ack_hours: Annotated[float, Gt(0)] = Field(
        default=24, description="an acknowledgement without an end of its own expires after this"
    )
    snooze_hours: Annotated[float, Gt(0)] = Field(
        default=4, description="a snooze without an end of its own ends after this"
    )
    reopen_days: Annotated[float, Gt(0)] = Field(
        default=7, description="a recurrence within this reopens the incident, later it is new"
    )

    def policy(self) -> "Policy":
        """As the incidents want it."""
        from alerts.incident import Policy

        return Policy(
            quiet=timedelta(hours=self.quiet_hours),
            ack=timedelta(hours=self.ack_hours),
            snooze=timedelta(hours=self.snooze_hours),
            reopen=timedelta(days=self.reopen_days),
        )


class QuarantineSettings(_Table):
    """Rejected originals, encrypted."""

    keep_days: Annotated[float, Gt(0)] = Field(
        default=14, description="age at which originals are dropped"
    )
    max_bytes: Annotated[int, Ge(MIB)] = Field(
        default=256 * MIB, description="size at which the oldest originals are dropped"
    )


class TokenSettings(_Table):
    """One sender: its secret is in a file or in the environment, never here."""

    secret_file: str | None = Field(default=None, description="file whose first line is the token")
    secret_env: str | None = Field(
        default=None, description="environment variable that holds the token"
    )
    tenants: tuple[str, ...] = Field(default=("*",), description='tenants it may write; "*" is all')
    default_tenant: str | None = Field(default=None, description="tenant of events that name none")
    metrics: bool = Field(
        default=False, description="may read /metrics, which asks for a token with allow_remote"
    )

    @field_validator("secret_file", "secret_env", "default_tenant", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _consistent(self) -> "TokenSettings":
        if self.secret_file and self.secret_env:
            raise ValueError("give secret_file or secret_env, not both")
        tenant = self.default_tenant
        if tenant is not None and not {"*", tenant} & set(self.tenants):
            raise ValueError("default_tenant is not among the tenants it may write")
        return self


class AdapterSettings(_Table):
    """What adapters are told about your gateways and tools."""

    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="networks (CIDR) whose X-Forwarded-For is believed"
    )
    tenant_attributes: tuple[str, ...] = Field(
        default=(), description="OTLP attributes that name the tenant, tried before the usual ones"
    )
    resource_arguments: tuple[str, ...] = Field(
        default=(), description="tool arguments that name a resource; only fingerprints are kept"
    )
    side_effects: dict[str, bool] = Field(
        default={}, description="tool name -> whether a call changes something"
    )
    prices_file: Path | None = Field(
        default=None, description="your prices (TOML or JSON, list `prices`), before list prices"
    )

    @field_validator("prices_file", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return None if value in ("", "...") else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class Settings(_Table):
    """The whole file. `core` and `destinations` are checked by the rooms that own them."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    incidents: IncidentSettings = Field(default_factory=IncidentSettings)
    quarantine: QuarantineSettings = Field(default_factory=QuarantineSettings)
    adapters: AdapterSettings = Field(default_factory=AdapterSettings)
    feed: FeedSettings = Field(default_factory=FeedSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    core: dict[str, Any] = {}
    detectors: dict[str, Literal["active", "monitor", "off"]] = {}
    tenants: dict[str, dict[str, Literal["active", "monitor", "off"]]] = {}
    exceptions: tuple[dict[str, Any], ...] = ()
    tokens: dict[str, TokenSettings] = {}
    destinations: dict[str, dict[str, Any]] = {}
    routes: tuple[dict[str, Any], ...] = ()
    base: Path = Field(default=Path(), exclude=True, description="folder relative paths start from")


def split_address(text: str) -> tuple[str, int]:
    """`host:port` as a pair; `[::1]:8787` for IPv6.

    Raises:
        ValueError: what is wrong with it.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError("write it as address:port, for example 127.0.0.1:8787")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("127.example.com")
    (True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
