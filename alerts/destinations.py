"""Destinations of the configuration: what may be set for each type, and the sinks they become."""

import sqlite3
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from alerts.base import RetryLater, Sink
from alerts.memory import TableMemory
from alerts.outbox import Outbox
from alerts.secret import Secret
from schemas.finding import Finding, Severity

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Line = Annotated[str, MinLen(1), MaxLen(256)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    min_severity: Severity = Field(
        default=Severity.INFO, description="findings below it are not sent here"
    )
    monitor: bool = Field(
        default=True, description="also send findings of detectors in monitor mode"
    )

    def wants(self, finding: Finding) -> bool:
        """Whether this finding is to be sent here."""
        return finding.severity.rank >= self.min_severity.rank and (
            self.monitor or finding.mode == "active"
        )

    def secret(self, base: Path) -> Secret | None:
        """Where its token is, if it has one."""
        return None


class _TokenSettings(_Settings):
    token_file: Path | None = Field(default=None, description="file whose first line is the token")
    token_env: str | None = Field(
        default=None, description="environment variable that holds the token"
    )

    @model_validator(mode="after")
    def _one_token(self) -> "_TokenSettings":
        if (self.token_file is None) == (self.token_env is None):
            raise ValueError("set token_file or token_env (one of them)")
        return self

    def secret(self, base: Path) -> Secret:
        """Where the token is."""
        if self.token_file is not None:
            return Secret("token_file", file=base / self.token_file)
        return Secret("token_env", env=self.token_env)


class FileSettings(_Settings):
    """Findings appended to a file, one OCSF record a line."""

    type: Literal["file"]
    path: Path = Field(description="the file; made (mode 0600) when missing")


class SplunkHecSettings(_TokenSettings):
    """A Splunk HTTP Event Collector."""

    type: Literal["splunk_hec"]
    url: Line = Field(description="such as https://splunk.example.com:8088")
    allow_http: bool = Field(
        default=False, description="send the token unencrypted to another machine"
    )
    index: Line | None = Field(default=None, description="index; unset means the token's own")
    source: Line = "tripmeter"
    sourcetype: Line = "tripmeter:finding"
    host: Line | None = None
    ca_file: Path | None = Field(default=None, description="PEM file of the CA to trust instead")
    timeout_s: Annotated[float, Gt(0), Le(300)] = Field(default=15, description="of one request")

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return _checked_url(value)

    @model_validator(mode="after")
    def _encrypted(self) -> "SplunkHecSettings":
        _require_https("url", self.url, allowed=self.allow_http)
        return self


class SlackSettings(_TokenSettings):
    """A Slack channel, through a bot token with the scope chat:write."""

    type: Literal["slack"]
    channel: Line = Field(description="channel id such as C0123456789, or #name")
    monitor: bool = Field(
        default=False, description="also send findings of detectors in monitor mode"
    )
    api_url: Line = Field(default="https://slack.com/api/", description="address of Slack's API")
    interval_s: Annotated[float, Ge(0), Le(60)] = Field(
        default=1.0, description="least seconds between two messages"
    )
    timeout_s: Annotated[int, Ge(1), Le(300)] = Field(default=15, description="of one request")

    @field_validator("api_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return _checked_url(value).rstrip("/") + "/"

    @model_validator(mode="after")
    def _encrypted(self) -> "SlackSettings":
        _require_https("api_url", self.api_url, allowed=False)
        return self


Destination = Annotated[
    FileSettings | SplunkHecSettings | SlackSettings, Field(discriminator="type")
]
_PARSER: TypeAdapter[dict[str, Destination]] = TypeAdapter(dict[Name, Destination])


class Fault(NamedTuple):
    """One thing wrong with the configuration: where, what, and what to do."""

    loc: tuple[str | int, ...]
    reason: str
    remedy: str


class BadDestinations(ValueError):
    """The configuration of destinations cannot be used; `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "\n".join(f"{'.'.join(map(str, f.loc))}: {f.reason}; {f.remedy}" for f in faults)
        )
        self.faults = tuple(faults)


class Destinations:
    """Every configured destination.

    Args:
        settings: the `destinations` table of the configuration.
        base: folder that relative paths start from.
    Raises:
        BadDestinations: what is wrong where, and what to do; secrets are not looked at.
    """

    def __init__(self, settings: Mapping[str, Any], base: Path = Path()) -> None:
        try:
            self.settings = _PARSER.validate_python(dict(settings))
        except ValidationError as error:
            raise BadDestinations(_faults(error)) from None
        self._base = base

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the order of the configuration."""
        return tuple(self.settings)

    def wanted_by(self, finding: Finding) -> tuple[str, ...]:
        """The destinations one finding is to be sent to."""
        return tuple(name for name, each in self.settings.items() if each.wants(finding))

    def enqueue(self, connection: sqlite3.Connection, findings: Sequence[Finding]) -> None:
        """Queues findings for whoever wants them, inside the caller's transaction.

        Raises:
            OutboxFull: a destination has no room; roll the transaction back.
        """
        for finding in findings:
            if names := self.wanted_by(finding):
                Outbox.enqueue(connection, [finding], names)

    def missing_secrets(self) -> list[Fault]:
        """What `tripmeter check` says about tokens that are not where they should be."""
        faults = []
        for name, settings in self.settings.items():
            if (secret := settings.secret(self._base)) is None:
                continue
            try:
                secret.read()
            except RetryLater as error:
                what, _, remedy = str(error).partition(": ")[2].rpartition("; ")
                faults.append(Fault(("destinations", name, secret.setting), what, remedy))
        return faults

    def open(self, database: Path) -> list[Sink]:
        """A sink for each; nothing is sent yet, and secrets are read when they are needed.

        Args:
            database: the file with the outbox's tables (sinks keep small things there).
        """
        return [self._sink(name, each, database) for name, each in self.settings.items()]

    def _sink(self, name: str, settings: Destination, database: Path) -> Sink:
        match settings:  # the libraries behind a sink are imported only where it is used
            case FileSettings():
                from alerts.file import FileSink

                return FileSink(name, self._base / settings.path)
            case SplunkHecSettings():
                from alerts.splunk_hec import SplunkHecSink

                ca_file = self._base / settings.ca_file if settings.ca_file else None
                return SplunkHecSink(
                    name,
                    settings.url,
                    settings.secret(self._base).read,
                    index=settings.index,
                    source=settings.source,
                    sourcetype=settings.sourcetype,
                    host=settings.host,
                    ca_file=ca_file,
                    timeout_s=settings.timeout_s,
                )
            case SlackSettings():
                from alerts.slack import SlackSink

                return SlackSink(
                    name,
                    settings.channel,
                    settings.secret(self._base).read,
                    TableMemory(database, name),
                    api_url=settings.api_url,
                    interval_s=settings.interval_s,
                    timeout_s=settings.timeout_s,
                )


def _checked_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as https://host:port")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("leave out user, password, ? and #; the token has its own setting")
    return value


def _require_https(setting: str, url: str, *, allowed: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and not allowed and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"{setting} would send the token unencrypted; use https://")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _faults(error: ValidationError) -> list[Fault]:
    faults = []
    types = ", ".join(("file", "splunk_hec", "slack"))
    for found in error.errors(include_input=False, include_url=False):
        # pydantic puts the chosen type behind the destination's name, and [key] behind a bad name
        parts = found["loc"]
        loc = ("destinations", *parts[:1], *(p for p in parts[2:] if p != "[key]"))
        match found["type"]:
            case "union_tag_not_found" | "union_tag_invalid":
                faults.append(Fault((*loc, "type"), "is missing or unknown", f"one of: {types}"))
            case "extra_forbidden":
                faults.append(Fault(loc, "unknown setting", "correct its name or remove it"))
            case "missing":
                faults.append(Fault(loc, "is missing", "add it"))
            case "string_pattern_mismatch":
                remedy = "use lower-case letters, digits, - and _"
                faults.append(Fault(loc, "is not a usable name", remedy))
            case _:
                reason = found["msg"].removeprefix("Value error, ")
                faults.append(Fault(loc, reason, "correct the value"))
    return faults
