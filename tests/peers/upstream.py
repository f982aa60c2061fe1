"""A model provider on loopback that speaks OpenAI's protocol and answers what a test needs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 340,
    "total_tokens": 1540,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 128},
}
REFUSALS: dict[str, tuple[int, str, str]] = {  # prefix of the model -> status, type, code
    "busy": (429, "requests", "rate_limit_exceeded"),
    "forbidden": (403, "invalid_request_error", "model_not_allowed"),
    "revoked": (401, "invalid_request_error", "invalid_api_key"),
}


class Upstream:
    """Serves until closed; `calls` counts the requests by model."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self._lock = threading.Lock()
        upstream = self

        class Handler(_Handler):
            owner = upstream

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base that clients are given."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def count(self, model: str) -> int:
        """Counts one call and gives its number, from 1."""
        with self._lock:
            self.calls[model] = self.calls.get(model, 0) + 1
            return sum(self.calls.values())

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Upstream

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = str(asked["model"])
        number = self.owner.count(model)
        for prefix, (status, kind, code) in REFUSALS.items():
            if model.startswith(prefix):
                error = {"message": f"{code} for {model}", "type": kind, "code": code}
                return self._json(status, {"error": error}, {"retry-after": "0"})
        if model == "flaky" and self.owner.calls[model] % 3:
            return self._json(500, {"error": {"message": "try again", "type": "server_error"}}, {})
        head = {"id": f"chatcmpl-{number:06d}", "created": 0, "model": f"{model}-2026-01-01"}
        if asked.get("stream"):
            return self._stream(head)
        message: dict[str, Any] = {"role": "assistant", "content": "Hello."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        return self._json(200, answer, {"x-request-id": f"req-{number:06d}"})

    def _json(self, status: int, answer: object, headers: dict[str, str]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, head: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in ("Hel", "lo", "."):
            delta = {"role": "assistant", "content": word}
            self._chunk(head, [{"index": 0, "delta": delta, "finish_reason": None}])
        self._chunk(head, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self._chunk(head, [], usage=USAGE)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _chunk(self, head: dict[str, Any], choices: list[Any], **more: Any) -> None:
        chunk = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()
