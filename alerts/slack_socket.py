"""Presses through Socket Mode: a connection that we open, so that nobody has to reach us."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.builtin.client import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from alerts.base import RetryLater
from alerts.network import unreachable

AGAIN_S = 30.0  # until the next try to connect at first; later ones are the client's business
THREADS = 2  # presses answered at once

Handle = Callable[[Any], dict[str, Any] | None]

log = logging.getLogger("tripmeter.alerts")


class Socket:
    """One connection for one app.

    Args:
        token: reads the app-level token (xapp-...).
        handle: does what a payload asks for; gives what the form shows.
    """

    def __init__(
        self,
        token: Callable[[], str],
        handle: Handle,
        *,
        api_url: str = "https://slack.com/api/",
        timeout_s: int = 15,
    ) -> None:
        self._token = token
        self._handle = handle
        self._api_url = api_url
        self._timeout_s = timeout_s
        self._client: SocketModeClient | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slack-socket", daemon=True)

    def start(self) -> None:
        """Connects, in a thread of its own, and again when that fails."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnects, in the background: the library takes seconds to end its threads."""
        self._stopping.set()
        if self._client is not None:
            threading.Thread(target=self._client.close, name="slack-close", daemon=True).start()

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self._connect()
                log.info("Slack: connected; buttons work")
                return
            except SlackApiError as error:
                data = getattr(error.response, "data", None)
                code = data.get("error") if isinstance(data, dict) else "no answer"
                reason = f"{code}; check the app-level token and its scope connections:write"
            except (SlackClientError, OSError) as error:
                reason = str(unreachable(error))
            except RetryLater as error:
                reason = str(error)
            except Exception as error:  # of the library; its text may hold the address
                reason = f"unexpected {type(error).__name__}"
            if reason != said:
                log.error("Slack: buttons do not work: %s; trying again", reason)
                said = reason
            self._stopping.wait(AGAIN_S)

    def _connect(self) -> None:
        token = self._token()
        web = WebClient(base_url=self._api_url, timeout=self._timeout_s)
        client = SocketModeClient(app_token=token, web_client=web, concurrency=THREADS)
        client.socket_mode_request_listeners.append(self._came)
        self._client = client
        client.connect()

    def _came(self, client: Any, request: SocketModeRequest) -> None:
        waits = request.payload.get("type") == "view_submission"  # a form shows what we answer
        answer = self._handle(request.payload) if waits else None
        response = SocketModeResponse(envelope_id=request.envelope_id, payload=answer)
        client.send_socket_mode_response(response)
        if not waits and request.type == "interactive":
            self._handle(request.payload)
