"""How instrumentations spell what we call by one name: for each field, the names tried in turn.

The current OpenTelemetry name stands first, then its older ones, then those of LiteLLM (v2, v1),
Traceloop, OpenInference, the Vercel AI SDK, Pydantic AI and Langfuse.
"""

_TRACELOOP = "traceloop.association.properties."
_VERCEL = "ai.telemetry.metadata."

TENANT = (
    "tenant.id",
    "litellm.team.id",
    "metadata.user_api_key_team_id",
    "litellm.metadata.user_api_key_org_id",
    "metadata.user_api_key_org_id",
    _TRACELOOP + "tenant_id",
    _TRACELOOP + "tenant.id",
    _VERCEL + "tenantId",
    _VERCEL + "tenant.id",
    "langfuse.trace.metadata.tenant_id",
    "langfuse.trace.metadata.tenant.id",
    "tenant_id",
)

TEXTS: dict[str, tuple[str, ...]] = {
    "api_key.id": ("api_key.id", "litellm.api_key.hash", "metadata.user_api_key_hash"),
    "user.id": (
        "user.id",
        "litellm.metadata.user_api_key_user_id",
        "metadata.user_api_key_user_id",
        "langfuse.user.id",
        _TRACELOOP + "user_id",
        _VERCEL + "userId",
    ),
    "enduser.id": (
        "enduser.id",
        "enduser.pseudo.id",
        "litellm.end_user.id",
        "litellm.metadata.user_api_key_end_user_id",
        "metadata.user_api_key_end_user_id",
        "gen_ai.user",
        "gen_ai.request.user",
        "gen_ai.openai.request.user",
        "llm.user",
    ),
    "session.id": (
        "session.id",
        "langfuse.session.id",
        _TRACELOOP + "session_id",
        _VERCEL + "sessionId",
    ),
    "gen_ai.conversation.id": (
        "gen_ai.conversation.id",
        "conversation.id",
        _TRACELOOP + "conversation_id",
        _TRACELOOP + "thread_id",
        _VERCEL + "conversationId",
    ),
    "gen_ai.agent.id": ("gen_ai.agent.id", "agent.id", "agent.name"),
    "gen_ai.agent.name": ("gen_ai.agent.name", "agent.name", "agent_name"),
    "cloud.account.id": ("cloud.account.id",),
    "cloud.region": ("cloud.region", "gen_ai.request.region", "aws.region"),
    "request.id": ("litellm.call_id", "gen_ai.request.id", "aws.request_id"),
    "gen_ai.response.id": ("gen_ai.response.id", "llm.response.id", "ai.response.id"),
    "gen_ai.request.model": (
        "gen_ai.request.model",
        "llm.request.model_name",
        "llm.request.model",
        "ai.model.id",
        "langfuse.observation.model.name",
    ),
    "gen_ai.response.model": (
        "gen_ai.response.model",
        "llm.response.model_name",
        "llm.response.model",
        "ai.response.model",
        "llm.model_name",
    ),
    "server.address": ("server.address", "net.peer.name"),
    "user_agent.original": ("user_agent.original", "metadata.user_agent", "http.user_agent"),
    "gen_ai.tool.name": (
        "gen_ai.tool.name",
        "mcp.tool.name",
        "tool.name",
        "ai.toolCall.name",
        "tool_call.function.name",
    ),
    "gen_ai.tool.type": ("gen_ai.tool.type",),
    "gen_ai.tool.call.id": ("gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id", "tool.id"),
    "mcp.server.name": ("mcp.server.name", "litellm.mcp.server.name"),
    "mcp.method.name": ("mcp.method.name",),
    "mcp.session.id": ("mcp.session.id",),
    "mcp.protocol.version": ("mcp.protocol.version",),
    "mcp.resource.uri": ("mcp.resource.uri",),
    "jsonrpc.request.id": ("jsonrpc.request.id", "rpc.jsonrpc.request_id"),
}

PROVIDER = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
)
OPERATION = ("gen_ai.operation.name", "llm.request.type", "litellm.call_type")
SPAN_KIND = ("openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type")

INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.usage.input_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
)
OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.usage.output_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
)
COUNTS: dict[str, tuple[str, ...]] = {
    "gen_ai.usage.input_tokens": INPUT,
    "gen_ai.usage.output_tokens": OUTPUT,
    "gen_ai.usage.cache_read.input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "gen_ai.usage.reasoning.output_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
    ),
}
LANGFUSE_USAGE: dict[str, tuple[str, ...]] = {
    "gen_ai.usage.input_tokens": ("input", "prompt_tokens", "input_tokens"),
    "gen_ai.usage.output_tokens": ("output", "completion_tokens", "output_tokens"),
    "gen_ai.usage.cache_read.input_tokens": (
        "input_cached_tokens",
        "cache_read_input_tokens",
        "input_cache_read",
    ),
    "gen_ai.usage.cache_creation.input_tokens": (
        "cache_creation_input_tokens",
        "input_cache_creation",
    ),
    "gen_ai.usage.reasoning.output_tokens": ("output_reasoning_tokens", "output_reasoning"),
}
COST = (
    "cost.usd",
    "litellm.cost.total",
    "gen_ai.cost.total_cost",
    "gen_ai.usage.cost",
    "llm.cost.total",
    "operation.cost",
)
STREAM = (
    "gen_ai.request.stream",
    "litellm.request.streaming",
    "gen_ai.is_streaming",
    "gen_ai.request.is_stream",
    "llm.is_streaming",
)
FIRST_CHUNK_S = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.response.time_to_first_token",
    "gen_ai.server.time_to_first_token",
)
FIRST_CHUNK_MS = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
FIRST_CHUNK_EVENTS = (
    "First Token Stream Event",
    "llm.content.completion.chunk",
    "ai.stream.firstChunk",
    "gen_ai.content.completion.chunk",
)
FINISH = (
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "llm.response.finish_reason",
    "ai.response.finishReason",
    "gen_ai.completion.0.finish_reason",
)
HTTP_STATUS = (
    "http.response.status_code",
    "http.status_code",
    "litellm.provider.error.code",
    "error.code",
)
ADDRESS = (
    "client.address",
    "litellm.metadata.requester_ip_address",
    "metadata.requester_ip_address",
    "http.client_ip",
)
ERROR = ("error.type", "exception.type", "litellm.provider.error.class")

ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.arguments",
    "tool_arguments",
    "tool.parameters",
    "tool_call.function.arguments",
    "ai.toolCall.args",
    "ai.toolCall.input",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "input.value",
)
RESULT = (
    "gen_ai.tool.call.result",
    "tool_response",
    "ai.toolCall.result",
    "ai.toolCall.output",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "output.value",
)
ANNOTATIONS = ("mcp.tool.annotations", "gen_ai.tool.annotations", "tool.annotations")
PROMPT = (
    "gen_ai.input.messages",
    "ai.prompt.messages",
    "ai.prompt",
    "langfuse.observation.input",
    "gen_ai.prompt",
)
ANSWER = (
    "gen_ai.output.messages",
    "ai.response.text",
    "ai.response.object",
    "ai.response.toolCalls",
    "langfuse.observation.output",
    "gen_ai.completion",
)
PROMPT_PARTS = ("gen_ai.prompt.", "llm.input_messages.")
ANSWER_PARTS = ("gen_ai.completion.", "llm.output_messages.")
