"""`tripmeter alert test DEST`: one harmless message, to see that a destination works."""

import argparse
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands.shared import fail
from streams.commands.shared_incidents import add_common, answered, settings_of

if TYPE_CHECKING:
    from alerts.base import Delivery, Sink
    from schemas.finding import Finding

EXIT_FAILED = 1
MAX_PARTS = 10  # messages of which one alert consists, at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`test DEST...`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("test", help="send a test message", description="send a test")
    action.add_argument("names", nargs="*", metavar="DEST", help="default: every destination")
    add_common(action)


def run(arguments: argparse.Namespace) -> int:
    """Sends past the outbox; 1 when a destination does not take it."""
    return answered(lambda: _test(arguments))


def _test(arguments: argparse.Namespace) -> int:
    import tempfile

    from streams.delivery import Delivery as Delivering

    settings = settings_of(arguments)
    router = Delivering(Path(arguments.data), settings).router
    unknown = [name for name in arguments.names if name not in router.names]
    if unknown:
        return fail(f"no destination {unknown[0]!r}; configured: {', '.join(router.names)}")
    code = 0
    with tempfile.TemporaryDirectory() as folder:  # what sinks remember of a test is not kept
        for sink in router.open(Path(folder) / "test.db"):
            if arguments.names and sink.name not in arguments.names:
                continue
            works, told = _send(sink, takes=router.settings[sink.name].takes)
            if arguments.json:
                print(json.dumps({"destination": sink.name, "works": works, "told": told}))
            else:
                print(f"{sink.name}: {told}")
            code = code if works else EXIT_FAILED
    return code


def _send(sink: "Sink", *, takes: str) -> tuple[bool, str]:
    from alerts.base import NotYet, Partly, Rejected, RetryLater

    delivery = _delivery(incident=takes == "incidents")
    try:
        for _ in range(MAX_PARTS):
            try:
                sink.send([delivery])
                break
            except Partly as more:  # a message and its thread
                if not isinstance(more.later, NotYet):
                    raise
    except Rejected as error:
        return False, f"refused: {error}"
    except (RetryLater, Partly) as error:
        return False, f"not now: {error}"
    finally:
        sink.close()
    return True, f"took the test message {delivery.finding.id}"


def _delivery(*, incident: bool) -> "Delivery":
    from alerts.base import Delivery
    from alerts.incident import Policy
    from alerts.incident_steps import receive

    finding = harmless(datetime.now(UTC), secrets.token_hex(8))
    if not incident:
        return Delivery(f"{finding.id}#1", finding)
    opened = receive(None, finding, finding.time, Policy())
    return Delivery(f"{opened.id}@1", finding, opened, "incident")


def harmless(now: datetime, id: str) -> "Finding":
    """A finding that nobody can take for a real one."""
    from schemas.event import SCHEMA_VERSION
    from schemas.finding import Entity, Finding, Provenance, Severity

    return Finding(
        id=f"test-{id}",
        final=True,
        detector="test",
        title="Test message of Tripmeter",
        family="health",
        entity=Entity(lane="service", id="tripmeter"),
        tenant=None,
        time=now,
        since=now,
        severity=Severity.INFO,
        summary="If you can read this, the destination works. Nothing has happened.",
        runbook=("Nothing to do.",),
        provenance=Provenance(
            detector_version="1", settings="", prices="", state=SCHEMA_VERSION, position=0
        ),
    )
