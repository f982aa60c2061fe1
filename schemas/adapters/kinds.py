"""Decides what a span or log record tells of: a model call, a tool call, a refused key, or nothing.

Attributes decide, never names of spans, their kinds or the library that wrote them.
"""

from schemas.adapters import spellings, words
from schemas.adapters.signal import Signal

MODEL_OPERATIONS = frozenset(
    {"chat", "text_completion", "generate_content", "embeddings", "rerank", "image_generation"}
)
AGENT_OPERATIONS = frozenset(
    {"create_agent", "invoke_agent", "invoke_workflow", "retrieval", "plan", "handoff"}
)
MODEL_KINDS = frozenset({"llm", "embedding", "reranker", "generation"})
OTHER_KINDS = frozenset(
    {"agent", "chain", "workflow", "task", "retriever", "guardrail", "evaluator", "prompt"}
)
CALL_DETAILS = frozenset(
    {"gen_ai.client.inference.operation.details", "gen_ai.client.operation.exception"}
)
_TOOLS = frozenset({"execute_tool", "tool"})
_GATEWAY = ("litellm.", "metadata.user_api_key")
_CODES = ("litellm.provider.error.code", "error.code", "http.response.status_code")


def kind_of(signal: Signal) -> str | None:
    """The `event.name` of the call that `signal` tells of; None if it is about something else."""
    if signal.kind == "log" and not _tells_of_a_call(signal):
        return None
    operation = words.operation(signal.text(spellings.OPERATION))
    kind = signal.text(spellings.SPAN_KIND).lower()
    method = signal.attributes.get("mcp.method.name")
    vercel = signal.text(("ai.operationId", "operation.name")).split(" ")[0]
    tool = signal.first(spellings.TEXTS["gen_ai.tool.name"])
    if operation in _TOOLS or kind == "tool" or vercel == "ai.toolCall":
        return "agent.tool_call"
    if method == "tools/call":
        return "agent.tool_call" if tool else None  # else the transport below a tool call
    if method == "tools/list":
        return "agent.tool_list"
    if operation in AGENT_OPERATIONS or (kind in OTHER_KINDS and operation == ""):
        return None
    if vercel.startswith("ai.") and ".do" not in vercel:
        return None  # the whole of several steps, each of which has a span
    if _calls_a_model(signal, operation, kind):
        return "llm.request"
    return "llm.auth_failure" if _is_refused_key(signal) else None


def _tells_of_a_call(signal: Signal) -> bool:
    """Records about single messages, or with nothing but contents, are left to the call's span."""
    name = signal.name or signal.text(("event.name", "event_name"))
    if name in CALL_DETAILS:
        model = signal.first(spellings.TEXTS["gen_ai.request.model"])
        return bool(model or signal.first(spellings.ERROR)) or _has_usage(signal)
    return not name.startswith("gen_ai.") and _has_usage(signal)


def _calls_a_model(signal: Signal, operation: str, kind: str) -> bool:
    if operation in MODEL_OPERATIONS or kind in MODEL_KINDS:
        return True
    model = signal.first(spellings.TEXTS["gen_ai.request.model"])
    if model and signal.first(spellings.PROVIDER):
        return True
    if "agent_name" in signal.attributes and not model:
        return False  # totals of an agent's run, already told by its calls
    return _has_usage(signal)


def _has_usage(signal: Signal) -> bool:
    return signal.first(spellings.INPUT) is not None or signal.first(spellings.OUTPUT) is not None


def _is_refused_key(signal: Signal) -> bool:
    """A gateway's span that failed with 401 or 403 before any model was called."""
    if not any(
        name.startswith(("litellm.", "metadata.user_api_key")) for name in signal.attributes
    ):
        return False
    if signal.attributes.get("litellm.provider.error.llm_provider"):
        return False  # the provider refused the gateway's own key, which the call's span tells
    return any(str(signal.attributes.get(name)) in ("401", "403") for name in _CODES)
