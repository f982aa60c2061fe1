"""Names of models: which were asked for, which answered, and which are the same model."""

import re

from schemas.decode import Record

_VERSION = re.compile(r"[-@:._](20\d\d-?\d\d-?\d\d|\d{4}|latest|preview|exp|v\d+)$")


def family(model: str) -> str:
    """A model's name without its vendor's path and its version.

    >>> [family(name) for name in ("openai/gpt-4o-2024-08-06", "gpt-4o", "gpt-4o-mini")]
    ['gpt-4o', 'gpt-4o', 'gpt-4o-mini']
    >>> family("anthropic.claude-haiku-4-5-20251001-v1:0")
    'anthropic.claude-haiku-4-5'
    """
    name = model.rpartition("/")[2].lower()
    name = re.sub(r":\d+$", "", name)
    while (shorter := _VERSION.sub("", name)) != name:
        name = shorter
    return name


def service(event: Record) -> str | None:
    """The service a model call asked for: provider and model."""
    if event.request_model is None:
        return None
    return f"{event.provider_name or 'unknown'}/{event.request_model}"


def tool(event: Record) -> str | None:
    """The service a tool call asked for: MCP server, if any, and tool."""
    if event.tool_name is None:
        return None
    return f"{event.mcp_server_name or 'tool'}/{event.tool_name}"
