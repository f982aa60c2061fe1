"""What may be set for a destination of each type."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

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
