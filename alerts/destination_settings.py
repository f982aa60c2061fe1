"""Every type of destination, by the name it has in the configuration."""

from typing import Annotated, get_args

from pydantic import Field

from alerts.elastic import ElasticSettings
from alerts.file import FileSettings
from alerts.kafka_topic import KafkaTopicSettings
from alerts.otlp_logs import OtlpLogsSettings
from alerts.pagerduty import PagerDutySettings
from alerts.s3 import S3Settings
from alerts.secops import SecOpsSettings
from alerts.sentinel import SentinelSettings
from alerts.slack_settings import SlackSettings
from alerts.slack_webhook import SlackWebhookSettings
from alerts.splunk_hec import SplunkHecSettings
from alerts.syslog import SyslogSettings
from alerts.webhook import WebhookSettings

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
    | SlackWebhookSettings
)
Destination = Annotated[Kind, Field(discriminator="type")]
TYPES = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(Kind)}
