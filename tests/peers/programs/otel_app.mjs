// An application that reports spans of model and tool calls as OTLP/JSON; takes a JSON plan.
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";

const plan = JSON.parse(process.argv[2]);
const provider = new BasicTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
const tracer = provider.getTracer("otel-app-js");

for (const model of plan.models) {
  const span = tracer.startSpan(`chat ${model}`, { kind: SpanKind.CLIENT });
  span.setAttributes({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": model,
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 340,
    "tenant.id": "maple",
  });
  if (model.startsWith("busy")) {
    span.setAttribute("error.type", "429");
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
for (const tool of plan.tools) {
  const span = tracer.startSpan(`execute_tool ${tool}`);
  span.setAttributes({
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": tool,
    "tenant.id": "maple",
  });
  span.end();
}
tracer.startSpan("GET /cart").end();
await provider.shutdown();
