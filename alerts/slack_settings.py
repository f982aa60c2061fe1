"""What the configuration may say about a Slack channel."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, Field, field_validator, model_validator

from alerts.base import Sink
from alerts.destination_base import (
    Line,
    Place,
    Takes,
    TokenSettings,
    checked_url,
    is_loopback,
    require_https,
)
from alerts.memory import TableMemory
from alerts.secret import Secret
from alerts.store_engine import open_store

if TYPE_CHECKING:
    from alerts.slack_hours import QuietHours

Mode = Literal["off", "socket", "http"]
_PERSON = re.compile(r"[UWS][A-Z0-9]{1,20}|\*")


def _person(value: str) -> str:
    if not _PERSON.fullmatch(value):
        raise ValueError('write ids such as "U012AB3CD" or "S0614TZR7", or "*" for everybody')
    return value


Person = Annotated[str, AfterValidator(_person)]


@dataclass(frozen=True, slots=True)
class Presses:
    """How presses reach us: through Socket Mode, or over HTTP at an address.

    Attributes:
        secret: the app-level token, or the signing secret.
    """

    mode: Mode
    secret: Secret
    listen: tuple[str, int]
    api_url: str


class SlackSettings(TokenSettings):
    """A Slack channel, through a bot token with the scope chat:write."""

    takes: ClassVar[Takes] = "incidents"
    type: Literal["slack"]
    channel: Line = Field(description="channel id such as C0123456789, or #name")
    monitor: bool = Field(
        default=False, description="also send findings of detectors in monitor mode"
    )
    feed_url: str = Field(
        default="", description="address of the feed as people reach it, for links"
    )
    thread: bool = Field(
        default=True, description="tell the story of an incident in its message's thread"
    )
    charts: bool = Field(
        default=True,
        description="with a picture of the habit; needs the extra reports, scope files:write",
    )
    singles: Annotated[int, Ge(1), Le(50)] = Field(
        default=5,
        description="incidents a minute that get messages of their own (and as many criticals);"
        " further ones share a digest",
    )
    quiet_hours: str = Field(
        default="", description='when only criticals are told, such as "22:00-07:00"'
    )
    quiet_days: tuple[str, ...] = Field(
        default=(), description='days that are quiet as a whole, such as ["sat", "sun"]'
    )
    quiet_zone: str = Field(default="UTC", description='time zone, such as "Europe/Berlin"')
    buttons: Mode = Field(
        default="off", description="how presses reach us: socket (Socket Mode), http, or off"
    )
    may_press: Annotated[tuple[Person, ...], MaxLen(200)] = Field(
        default=(),
        description='ids of people (U...) and user groups (S...) who may decide; "*" is everybody'
        " of the workspace in the channel",
    )
    app_token_file: Path | None = Field(
        default=None, description="with socket: file with the app-level token (xapp-...)"
    )
    app_token_env: str | None = Field(default=None, description="or the variable that holds it")
    signing_secret_file: Path | None = Field(
        default=None, description="with http: file with the app's signing secret"
    )
    signing_secret_env: str | None = Field(
        default=None, description="or the variable that holds it"
    )
    listen: str = Field(
        default="127.0.0.1:8790",
        description="with http: address and port of /slack/actions; a proxy with TLS stands before",
    )
    allow_remote: bool = Field(
        default=False, description="allow listening on an address other machines can reach"
    )
    api_url: Line = Field(default="https://slack.com/api/", description="address of Slack's API")
    interval_s: Annotated[float, Ge(0), Le(60)] = Field(
        default=1.0, description="least seconds between two messages"
    )
    timeout_s: Annotated[int, Ge(1), Le(300)] = Field(default=15, description="of one request")

    @field_validator("api_url")
    @classmethod
    def _url(cls, value: str) -> str:
        return checked_url(value).rstrip("/") + "/"

    @field_validator("feed_url")
    @classmethod
    def _feed(cls, value: str) -> str:
        return checked_url(value).rstrip("/") if value else ""

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        require_https("api_url", self.api_url, allowed=False)
        return self

    @model_validator(mode="after")
    def _quiet(self) -> Self:
        self.hours()
        return self

    @model_validator(mode="after")
    def _presses(self) -> Self:
        host = _address(self.listen)[0]
        if self.buttons == "off":
            return self
        if not self.may_press:
            raise ValueError('buttons need may_press: ids of people and groups, or "*"')
        if not self.allow_remote and not is_loopback(host):
            reason = f"listen: {host} can be reached from other machines"
            raise ValueError(f"{reason}; set allow_remote = true if that is intended")
        self.presses(Path())
        return self

    def hours(self) -> "QuietHours | None":
        """When only criticals are told.

        Raises:
            ValueError: what is wrong with it.
        """
        if not self.quiet_hours and not self.quiet_days:
            return None
        from alerts.slack_hours import QuietHours

        return QuietHours.parse(self.quiet_hours, self.quiet_days, self.quiet_zone)

    def presses(self, base: Path) -> Presses | None:
        """How presses reach us; None when there are no buttons.

        Raises:
            ValueError: a secret is missing.
        """
        if self.buttons == "off":
            return None
        socket = self.buttons == "socket"
        name = "app_token" if socket else "signing_secret"
        file = self.app_token_file if socket else self.signing_secret_file
        env = self.app_token_env if socket else self.signing_secret_env
        if (file is None) == (env is None):
            raise ValueError(f"set {name}_file or {name}_env (one of them)")
        if file is not None:
            secret = Secret(f"{name}_file", file=base / file)
        else:
            secret = Secret(f"{name}_env", env=env)
        return Presses(self.buttons, secret, _address(self.listen), self.api_url)

    def secrets(self, base: Path) -> list[Secret]:
        """The bot token, and what presses need."""
        presses = self.presses(base)
        return [*super().secrets(base), *([presses.secret] if presses is not None else [])]

    def sink(self, name: str, place: Place) -> Sink:
        """Its sink; the library behind it is imported only where it is used."""
        from alerts.slack import SlackSink
        from alerts.slack_calls import Calls, Pacer
        from alerts.slack_chart import past_of
        from alerts.slack_message import Look
        from alerts.slack_people import People
        from alerts.slack_plan import Flow

        calls = Calls(
            self.secret(place.base).read,
            Pacer.of(self.api_url, self.channel, self.interval_s),
            api_url=self.api_url,
            timeout_s=self.timeout_s,
        )
        presses = self.presses(place.base)
        return SlackSink(
            name,
            self.channel,
            calls,
            TableMemory(place.database, name),
            look=Look(buttons=presses is not None, feed_url=self.feed_url),
            hours=self.hours(),
            flow=Flow(self.singles),
            thread=self.thread,
            charts=self.charts,
            past=past_of(open_store(place.database)),
            people=People(calls, self.may_press),
            press=presses,
        )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError("listen: write it as address:port, for example 127.0.0.1:8790")
    return host.strip("[]"), int(port)
