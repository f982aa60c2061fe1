"""Every type of destination, by the name it has in the configuration."""

from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le
from pydantic import Field, field_validator, model_validator

from alerts.base import Sink
from alerts.destination_base import (
    Line,
    Place,
    Takes,
    TokenSettings,
    checked_url,
    require_https,
)
from alerts.elastic import ElasticSettings
from alerts.file import FileSettings
from alerts.kafka_topic import KafkaTopicSettings
from alerts.memory import TableMemory
from alerts.otlp_logs import OtlpLogsSettings
from alerts.pagerduty import PagerDutySettings
from alerts.s3 import S3Settings
from alerts.secops import SecOpsSettings
from alerts.sentinel import SentinelSettings
from alerts.splunk_hec import SplunkHecSettings
from alerts.syslog import SyslogSettings
from alerts.webhook import WebhookSettings


class SlackSettings(TokenSettings):
    """A Slack channel, through a bot token with the scope chat:write."""

    takes: ClassVar[Takes] = "incidents"
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
        return checked_url(value).rstrip("/") + "/"

    @model_validator(mode="after")
    def _encrypted(self) -> "SlackSettings":
        require_https("api_url", self.api_url, allowed=False)
        return self

    def sink(self, name: str, place: Place) -> Sink:
        """Its sink; the library behind it is imported only where it is used."""
        from alerts.slack import SlackSink

        return SlackSink(
            name,
            self.channel,
            self.secret(place.base).read,
            TableMemory(place.database, name),
            api_url=self.api_url,
            interval_s=self.interval_s,
            timeout_s=self.timeout_s,
        )


Kind = (
    FileSettings
    | SplunkHecSettings
    | ElasticSettings
    | SyslogSettings
    | SentinelSettings
    | SecOpsSettings
    | OtlpLogsSettings
    | KafkaTopicSettings
    | S3Settings
    | WebhookSettings
    | PagerDutySettings
    | SlackSettings
)
Destination = Annotated[Kind, Field(discriminator="type")]
TYPES = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(Kind)}
