"""What the configuration may say about the feed: where it listens and who may sign in."""

import ipaddress
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Role = Literal["viewer", "analyst", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OidcSettings(_Table):
    """An OpenID Connect provider people sign in with."""

    issuer: str = Field(description="address of the provider, such as https://login.example.com")
    client_id: str = Field(description="our name at the provider")
    client_secret_env: str = Field(
        default="", description="variable with our secret there; empty for a public client (PKCE)"
    )
    name_claim: str = Field(default="email", description="claim that names the person")
    roles_claim: str = Field(default="groups", description="claim with the person's groups")
    roles: dict[str, Role] = Field(default={}, description="group -> role; the highest counts")
    default_role: Role | None = Field(
        default=None, description="role of those in none of these groups; none: they are refused"
    )
    tenants_claim: str = Field(
        default="", description="claim with the tenants a person may see; empty: no such limit"
    )

    @field_validator("issuer")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        host = value.partition("://")[2].partition("/")[0].rpartition(":")[0]
        if not value.startswith("https://") and not is_loopback(host.strip("[]")):
            raise ValueError("write the provider's address with https://")
        return value.rstrip("/")

    @field_validator("default_role", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class FeedSettings(_Table):
    """The page for analysts, and the feed for machines."""

    enabled: bool = Field(default=True, description="whether `serve` serves the feed, too")
    listen: str = Field(default="127.0.0.1:8788", description="address and port of the feed")
    public_url: str = Field(
        default="", description="address people use, where a proxy stands in front"
    )
    tls_certificate: str = Field(default="", description="PEM file; with tls_key the feed is https")
    tls_key: str = Field(default="", description="PEM file of its private key")
    allow_plain_remote: bool = Field(
        default=False,
        description="allow an address other machines can reach without TLS here (a proxy has it)",
    )
    session_hours: Annotated[float, Gt(0), Le(720)] = Field(
        default=12, description="time after which people sign in again"
    )
    quiet_source_minutes: Annotated[float, Gt(0)] = Field(
        default=30, description="a source without an event for so long is called quiet"
    )
    max_streams: Annotated[int, Ge(1), Le(5000)] = Field(
        default=500, description="open live connections, together"
    )
    oidc: OidcSettings | None = Field(default=None, description="sign in with OpenID Connect")

    @property
    def tls(self) -> bool:
        """Whether the feed itself speaks https."""
        return bool(self.tls_certificate)

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 65_535:
            raise ValueError("write it as address:port, for example 127.0.0.1:8788")
        return value

    @field_validator("public_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("write it with https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _safe(self) -> "FeedSettings":
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("give both tls_certificate and tls_key, or neither")
        host = self.listen.rpartition(":")[0].strip("[]")
        if not is_loopback(host) and not self.tls and not self.allow_plain_remote:
            raise ValueError(
                f"{host} can be reached from other machines, and passwords would travel in the"
                " clear; set tls_certificate and tls_key, or allow_plain_remote = true when a"
                " proxy in front of it has TLS"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("127.example.com")
    (True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
