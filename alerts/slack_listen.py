"""Starts to listen for presses where the configuration wants it: once for each app or address."""

from collections.abc import Callable, Iterable
from typing import Protocol

from alerts.base import Sink
from alerts.incident_desk import Desk
from alerts.slack_settings import Presses


class Listener(Protocol):
    """Something that runs until it is told to stop."""

    def start(self) -> None:
        """Begins."""

    def stop(self) -> None:
        """Ends."""


def listeners(
    sinks: Iterable[Sink], desk: Desk, wake: Callable[[], object] = lambda: None
) -> list[Listener]:
    """What has to be started for the buttons of these destinations; empty when none has any.

    Destinations of one app share a connection, because Slack gives each press to any of them.
    """
    asked = [sink for sink in sinks if getattr(sink, "press", None) is not None]
    if not asked:
        return []
    from alerts.slack import SlackSink
    from alerts.slack_answers import Answers
    from alerts.slack_http import Http, make_app
    from alerts.slack_socket import Socket

    groups: dict[Presses, list[SlackSink]] = {}
    for sink in asked:
        if isinstance(sink, SlackSink) and sink.press is not None:
            groups.setdefault(sink.press, []).append(sink)
    found: list[Listener] = []
    for press, members in groups.items():
        handle = Answers(members, desk, wake).handle
        if press.mode == "socket":
            found.append(Socket(press.secret.read, handle, api_url=press.api_url))
        else:
            found.append(Http(make_app(press.secret.read, handle), press.listen))
    return found
