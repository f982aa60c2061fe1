"""Brings the words of vendors to ours: providers, operations, errors."""

import re

PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "azure_ai": "azure.ai.inference",
    "azure_ai_inference": "azure.ai.inference",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "google_gla": "gcp.gemini",
    "google_generativeai": "gcp.gemini",
    "google_generative_ai": "gcp.gemini",
    "google.generative_ai": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "google_vertex": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "google.vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
    "ibm": "ibm.watsonx.ai",
}

OPERATIONS = {
    "completion": "chat",
    "acompletion": "chat",
    "responses": "chat",
    "aresponses": "chat",
    "anthropic_messages": "chat",
    "message": "chat",
    "chat.completions": "chat",
    "text_completion": "text_completion",
    "atext_completion": "text_completion",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "embed": "embeddings",
    "generate": "chat",
    "rerank": "rerank",
    "arerank": "rerank",
}

_STATUS = {
    400: "invalid_request",
    401: "auth",
    402: "budget_exceeded",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "invalid_request",
    413: "context_length",
    422: "invalid_request",
    429: "rate_limit",
    499: "cancelled",
    504: "timeout",
}

_ERRORS = (  # the first pattern that is found decides
    (r"budget|insufficientquota|billing|spendlimit|maxbudget", "budget_exceeded"),
    (r"context(window|length)|toolong|maxtokens|tokenlimit", "context_length"),
    (r"content(policy|filter)|guardrail|moderation|safety", "content_filter"),
    (r"ratelimit|throttl|toomanyrequests|resourceexhausted|quota", "rate_limit"),
    (r"mcptoolresult|toolerror|toolexecution|toolexception", "tool_error"),
    (r"authenticat|unauthorized|invalidapikey|expiredkey|authentication", "auth"),
    (r"permission|forbidden|accessdenied|unauthorisedmodel|keymodelaccess", "permission"),
    (r"notfound|nosuch", "not_found"),
    (r"timeout|timedout|deadline", "timeout"),
    (r"cancel", "cancelled"),
    (r"connection|connecterror|unreachable|network|dns", "connection"),
    (r"badrequest|invalid|unprocessable|unsupported|validation", "invalid_request"),
    (
        r"internalserver|servererror|serviceunavailable|overloaded|badgateway",
        "server_error",
    ),
)
_ERROR_PATTERNS = tuple((re.compile(pattern), error) for pattern, error in _ERRORS)
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.:/-]{0,127}|[0-9]{3}")


def provider(name: str) -> str:
    """The OpenTelemetry name of a provider.

    >>> provider("OpenAI"), provider("vertex_ai"), provider("google.vertex.chat"), provider("house")
    ('openai', 'gcp.vertex_ai', 'gcp.vertex_ai', 'house')
    """
    word = name.strip().lower().replace("-", "_").replace(" ", "_")
    while word not in PROVIDERS and "." in word and not word.startswith(("azure.", "aws.", "gcp.")):
        head, _, tail = word.rpartition(".")
        if tail not in {"chat", "responses", "completion", "embedding", "messages", "image"}:
            break
        word = head
    return PROVIDERS.get(word, word)


def operation(name: str) -> str:
    """The OpenTelemetry name of an operation.

    >>> operation("acompletion"), operation("execute_tool")
    ('chat', 'execute_tool')
    """
    word = name.strip().lower()
    return OPERATIONS.get(word, word)


def error_type(*names: str, status: int | None = None) -> str:
    """What kind of failure it was, from class names and codes; the status decides last.

    >>> error_type("openai.RateLimitError"), error_type("Exception", status=503), error_type("Odd")
    ('rate_limit', 'server_error', '_OTHER')
    """
    for name in names:
        if name.isdigit() and len(name) == 3 and int(name) >= 400:
            status = int(name)
            continue
        word = re.sub(r"[\W_]+", "", name[:256]).lower()
        for pattern, error in _ERROR_PATTERNS:
            if pattern.search(word):
                return error
    if status is not None and status >= 400:
        return _STATUS.get(status, "server_error" if status >= 500 else "invalid_request")
    return "_OTHER"


def class_name(text: str) -> str | None:
    """`text` if it is the name of an error class or code; None if it could be a message."""
    return text if _CLASS_NAME.fullmatch(text) else None
