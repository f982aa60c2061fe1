"""Sends one finding to a server through the official clients of three services.

Runs in an environment of its own: `python siem_clients.py URL`.
"""

import sys
import time

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.monitor.ingestion import LogsIngestionClient
from pagerduty import EventsApiV2Client
from secops.chronicle.client import ChronicleClient


class Credential:
    """A token that is there already."""

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return AccessToken("TOKEN", int(time.time()) + 3600)


class Bearer(SansIOHTTPPolicy):
    """The client's own policy refuses plain HTTP; this one does not."""

    def on_request(self, request: object) -> None:
        request.http_request.headers["Authorization"] = "Bearer TOKEN"


def main(url: str) -> None:
    """Sends."""
    azure = LogsIngestionClient(url, Credential(), authentication_policy=Bearer())
    azure.upload(rule_id="dcr-01", stream_name="Custom-T", logs=[{"TimeGenerated": "t"}])

    pagerduty = EventsApiV2Client("R0" * 16)
    pagerduty._url = url  # it refuses every address but PagerDuty's
    pagerduty.trigger(
        "summary",
        "source",
        dedup_key="key",
        severity="critical",
        payload={"component": "c", "group": "g", "class": "x", "timestamp": "t"},
        custom_details={"a": 1},
    )
    pagerduty.acknowledge("key")
    pagerduty.resolve("key")

    session = requests.Session()
    session.headers["Authorization"] = "Bearer TOKEN"
    chronicle = ChronicleClient("p", "i", "us", session=session)
    chronicle.base_url = f"{url}/v1alpha"
    chronicle.ingest_log(
        "OCSF", ["{}"], labels={"key": "k"}, forwarder_id="f", namespace="n", force_log_type=True
    )


if __name__ == "__main__":
    main(sys.argv[1])
