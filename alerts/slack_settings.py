"""What the configuration may say about a Slack channel."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import Field, field_validator, model_validator

from alerts.base import Sink
from alerts.destination_base import Line, Place, Takes, TokenSettings, checked_url, require_https
from alerts.memory import TableMemory


class SlackSettings(TokenSettings):
    """A Slack channel, through a bot token with the scope chat:write."""

    takes: ClassVar[Takes] = "incidents"
    type: Literal["slack"]
    channel: Line = Field(description="channel id such as C0123456789, or #name")
    monitor: bool = Field(
        default=False, description="also send findings of detectors in monitor mode"
    )
    thread: bool = Field(
        default=True, description="tell the story of an incident in its message's thread"
    )
    charts: bool = Field(
        default=True,
        description="with a picture of the habit; needs tripmeter[reports], scope files:write",
    )
    singles: Annotated[int, Ge(1), Le(50)] = Field(
        default=5,
        description="incidents a minute that get messages of their own (and as many criticals);"
        " further ones share a digest",
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

    @model_validator(mode="after")
    def _encrypted(self) -> "SlackSettings":
        require_https("api_url", self.api_url, allowed=False)
        return self

    def sink(self, name: str, place: Place) -> Sink:
        """Its sink; the library behind it is imported only where it is used."""
        from alerts.slack import SlackSink
        from alerts.slack_calls import Calls, Pacer
        from alerts.slack_plan import Flow

        calls = Calls(
            self.secret(place.base).read,
            Pacer.of(self.api_url, self.channel, self.interval_s),
            api_url=self.api_url,
            timeout_s=self.timeout_s,
        )
        return SlackSink(
            name,
            self.channel,
            calls,
            TableMemory(place.database, name),
            flow=Flow(self.singles),
            thread=self.thread,
            charts=self.charts,
        )
