"""A LiteLLM proxy with tenants, keys, models and tools, reporting to a `tripmeter serve`."""

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.peers.environment import PROGRAMS, python_of
from tests.peers.process import Process, clean_environment, free_port, run
from tests.peers.upstream import Upstream
from tests.serving import Serve

START_S = 120.0
CALL_S = 60.0
REPORTING = {  # spans only when the proxy ends, so that callbacks are first: an order to rely on
    "OTEL_BSP_SCHEDULE_DELAY": "120000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8192",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
}
HERE, THERE = "127.0.0.1", "127.0.0.66"  # two client addresses of one machine


@dataclass(frozen=True)
class Sent:
    """One request of the script, and what the proxy said."""

    kind: str
    key: str
    status: int
    call_id: str = ""


@dataclass
class Gateway:
    """Everything between a client and its model; `sent` is the script's own account.

    Args:
        folder: where the proxy keeps its files.
        serve: where it reports to; already started.
    """

    folder: Path
    serve: Serve
    sent: list[Sent] = field(default_factory=list)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            python = str(python_of("litellm"))
            self._python = python
            self.upstream = Upstream()
            stack.callback(self.upstream.close)
            tools, port = free_port(), free_port()
            command = [python, str(PROGRAMS / "tool_server.py"), str(tools)]
            server = stack.enter_context(Process(command, self.folder, self._environment()))
            self.url = f"http://{HERE}:{port}"
            self._configure(f"http://{HERE}:{tools}/mcp")
            server.answers(f"http://{HERE}:{tools}/mcp", START_S)
            command = [str(Path(python).with_name("litellm")), "--host", HERE, "--port", str(port)]
            command += ["--config", str(self.folder / "proxy.yaml")]
            environment = self._environment(
                LITELLM_LOCAL_MODEL_COST_MAP="True",
                LITELLM_OTEL_V2="true",
                OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
                OTEL_EXPORTER_OTLP_ENDPOINT=self.serve.url,
                OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{self.serve.token}",
                TRIPMETER_AUTHORIZATION=f"Bearer {self.serve.token}",
                **REPORTING,
            )
            self.process = stack.enter_context(Process(command, self.folder, environment))
            self.process.answers(f"{self.url}/health/liveliness", START_S)
            self._clients = {
                address: stack.enter_context(_client(self.url, address))
                for address in (HERE, THERE)
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _environment(self, **more: str) -> dict[str, str]:
        return clean_environment(self.folder, **more)

    def _configure(self, tools: str) -> None:
        shutil.copy(PROGRAMS / "proxy_keys.py", self.folder)
        text = (PROGRAMS / "proxy.yaml").read_text()
        for word, value in {
            "{upstream}": self.upstream.url,
            "{tools}": tools,
            "{tripmeter}": self.serve.url,
        }.items():
            text = text.replace(word, value)
        (self.folder / "proxy.yaml").write_text(text)

    def chat(
        self,
        kind: str,
        key: str,
        model: str,
        prompt: str,
        *,
        stream: bool = False,
        address: str = HERE,
    ) -> Sent:
        """Asks a model once, without retries of the client's own, and notes it."""
        asked: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
        }
        if stream:
            asked["stream_options"] = {"include_usage": True}
        answer = self._clients[address].post(
            "/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"}
        )
        sent = Sent(kind, key, answer.status_code, answer.headers.get("x-litellm-call-id", ""))
        self.sent.append(sent)
        return sent

    def tools(self, key: str, calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        """Lists the tools and calls some of them, in one MCP session."""
        command = [self._python, str(PROGRAMS / "tool_client.py"), f"{self.url}/mcp/", key]
        told = run([*command, json.dumps(calls)], self.folder, self._environment())
        self.sent += [Sent("tool", key, 200) for _ in calls]
        return dict(json.loads(told.splitlines()[-1]))


def _client(url: str, address: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=url, transport=transport, timeout=CALL_S, trust_env=False)
