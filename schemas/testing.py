"""Small events for doctests and tests."""

from typing import Any

import msgspec

from schemas.decode import EventRecord
from schemas.event import Event

_SHORT = {
    "id": "event_id",
    "kind": "event_name",
    "tenant": "tenant_id",
    "key": "api_key_id",
    "session": "conversation_id",
    "model": "request_model",
    "tool": "tool_name",
    "args": "tool_args_hash",
    "side_effect": "tool_side_effect",
    "resource": "resource_id",
    "owner": "resource_owner_tenant_id",
    "address": "client_address",
    "prompt": "content_input_hash",
}


def event(time: str = "2026-10-01T00:00:00Z", **fields: Any) -> Event:
    """An event with these fields, by attribute or by the short names above.

    >>> event(model="m", input_tokens=3).request_model
    'm'
    """
    named = {_SHORT.get(name, name): value for name, value in fields.items()}
    named.setdefault("event_id", "e1")
    named.setdefault("event_name", "llm.request")
    return Event(event_schema_version="1.0", timestamp=time, **named)  # type: ignore[arg-type]


def record(time: str = "2026-10-01T00:00:00Z", **fields: Any) -> Any:
    """The same as the core reads it."""
    return msgspec.json.decode(event(time, **fields).to_json(), type=EventRecord)
