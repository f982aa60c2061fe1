"""What the settings of every destination have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, Self
from urllib.parse import urlsplit

from annotated_types import Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alerts.base import Sink
from alerts.secret import Secret
from alerts.store_engine import Target
from schemas.finding import Severity

if TYPE_CHECKING:
    from alerts.incident_desk import Desk
    from alerts.posting import Poster

Line = Annotated[str, MinLen(1), MaxLen(256)]
Takes = Literal["findings", "incidents"]


class Subject(Protocol):
    """What somebody may be told of: a finding or an incident."""

    @property
    def severity(self) -> Severity: ...

    @property
    def mode(self) -> Literal["active", "monitor"]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a destination finds its files.

    Attributes:
        base: folder that relative paths of the configuration start from.
        database: the store; sinks keep small things there.
        desk: where people's answers go (buttons); None where nobody can answer.
    """

    base: Path
    database: Target
    desk: "Desk | None" = None


class DestinationSettings(BaseModel):
    """Of one destination. A subclass has its own `type` and makes its sink."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    takes: ClassVar[Takes] = "findings"

    min_severity: Severity = Field(
        default=Severity.INFO, description="findings below it are not sent here"
    )
    monitor: bool = Field(
        default=True, description="also send findings of detectors in monitor mode"
    )

    def refusal(self, subject: Subject) -> str | None:
        """Why this table does not want a finding or incident; None when it does."""
        if subject.severity.rank < self.min_severity.rank:
            return f"severity {subject.severity} is below its min_severity {self.min_severity}"
        if not self.monitor and subject.mode == "monitor":
            return "the detector is in monitor mode, and monitor = false"
        return None

    def secret(self, base: Path) -> Secret | None:
        """Where its token is, if it has one."""
        return None

    def secrets(self, base: Path) -> list[Secret]:
        """Where all its secrets are."""
        secret = self.secret(base)
        return [secret] if secret is not None else []

    @abstractmethod
    def sink(self, name: str, place: Place) -> Sink:
        """The sink; nothing is sent yet, and secrets are read when they are needed."""


class OptionalTokenSettings(DestinationSettings):
    """A destination that may have a token."""

    token_file: Path | None = Field(default=None, description="file whose first line is the token")
    token_env: str | None = Field(
        default=None, description="environment variable that holds the token"
    )

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("set token_file or token_env (one of them)")
        return self

    def secret(self, base: Path) -> Secret | None:
        """Where the token is."""
        if self.token_file is not None:
            return Secret("token_file", file=base / self.token_file)
        return Secret("token_env", env=self.token_env) if self.token_env is not None else None


class TokenSettings(OptionalTokenSettings):
    """A destination that needs a token."""

    @model_validator(mode="after")
    def _a_token(self) -> Self:
        if self.token_file is None and self.token_env is None:
            raise ValueError("set token_file or token_env (one of them)")
        return self

    def secret(self, base: Path) -> Secret:
        """Where the token is."""
        found = super().secret(base)
        if found is None:  # excluded by the validator
            raise ValueError("no token")
        return found


class HttpSettings(DestinationSettings):
    """A destination that is spoken to over HTTP."""

    url: Line = Field(description="such as https://siem.example.com:8088")
    allow_http: bool = Field(
        default=False, description="send the token unencrypted to another machine"
    )
    ca_file: Path | None = Field(default=None, description="PEM file of the CA to trust instead")
    timeout_s: Annotated[float, Gt(0), Le(300)] = Field(default=15, description="of one request")

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        return checked_url(value)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        require_https("url", self.url, allowed=self.allow_http)
        return self

    def poster(self, place: Place) -> "Poster":
        """What sends its requests."""
        from alerts.posting import Poster

        ca_file = place.base / self.ca_file if self.ca_file else None
        return Poster(ca_file=ca_file, timeout_s=self.timeout_s)


def checked_url(value: str) -> str:
    """The same, when it is the plain address of an HTTP server.

    Raises:
        ValueError: what is wrong with it.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as https://host:port")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("leave out user, password, ? and #; the token has its own setting")
    return value


def require_https(setting: str, url: str, *, allowed: bool) -> None:
    """Makes sure that a token does not cross the network unencrypted.

    Raises:
        ValueError: it would.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and not allowed and not is_loopback(parts.hostname or ""):
        raise ValueError(f"{setting} would send the token unencrypted; use https://")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
