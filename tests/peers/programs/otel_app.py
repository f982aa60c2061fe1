"""An application that calls a model and a tool, observed by OpenTelemetry; takes a JSON plan."""

import json
import sys

import openai
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TOOL = {"type": "function", "function": {"name": "read_document", "parameters": {}}}


def observe():
    """Sends spans and log records to where the environment says."""
    about = Resource.create({"service.name": "otel-app", "tenant.id": "cedar"})
    spans = TracerProvider(resource=about)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.Gzip)))
    trace.set_tracer_provider(spans)
    logs = LoggerProvider(resource=about)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(compression=Compression.Gzip))
    )
    _logs.set_logger_provider(logs)
    OpenAIInstrumentor().instrument()
    return spans, logs


def call(client, kind, model, prompt):
    """One call of a kind; gives how it ended."""
    more = {}
    if kind == "stream":
        more = {"stream": True, "stream_options": {"include_usage": True}}
    elif kind == "tool":
        more = {"tools": [TOOL]}
    messages = [{"role": "user", "content": prompt}]
    try:
        answer = client.chat.completions.create(model=model, messages=messages, **more)
        for _ in answer if kind == "stream" else ():
            pass
    except openai.OpenAIError as error:
        return type(error).__name__
    return "ok"


def main(plan):
    spans, logs = observe()
    client = openai.OpenAI(api_key=plan["key"], base_url=plan["upstream"], max_retries=2)
    tracer = trace.get_tracer("otel-app")
    ended = []
    with tracer.start_as_current_span("a request of the web server"):
        for kind, model, prompt in plan["calls"]:
            ended.append(call(client, kind, model, prompt))
    for name in plan["tools"]:
        with tracer.start_as_current_span(f"execute_tool {name}") as span:
            span.set_attributes(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": name,
                    "gen_ai.tool.call.id": f"call-{name}",
                    "gen_ai.conversation.id": "conversation-1",
                }
            )
    spans.shutdown()
    logs.shutdown()
    print(json.dumps(ended))


main(json.loads(sys.argv[1]))
