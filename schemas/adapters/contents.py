"""What an event may say of contents: fingerprints and sizes, never the contents."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from schemas.adapters.base import Context
from schemas.adapters.clean import EMAIL
from schemas.event import MAX_LIST
from schemas.identity import args_hash, canonical_json, fingerprint

MAX_PARSED = 4 * 1024 * 1024  # bytes of a text that may be JSON
MAX_SCANNED = 65_536  # characters of arguments searched for destinations
MAX_LEVELS = 16

REDACTED = re.compile(r"redacted[-_ ]by[-_ ]\w+|__REDACTED__|\[?REDACTED\]?", re.IGNORECASE)
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_HOST = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://(?:[^/\s@]{0,256}@)?([\w.-]{1,253})", re.IGNORECASE)
_IDEMPOTENCY = frozenset(
    {"idempotencykey", "idempotencytoken", "idempotencyid", "clientrequesttoken", "clienttoken"}
)
_ADDITIONS = frozenset({"provider_specific_fields", "annotations", "index", "logprobs"})


def parsed(value: Any) -> Any:
    """A JSON text read; anything else, and broken JSON, as it is."""
    if not isinstance(value, str) or len(value) > MAX_PARSED or value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError):
        return value


def content_hash(pepper: bytes, value: Any) -> str | None:
    """The fingerprint of messages or of an answer; None if there is nothing, or it was redacted."""
    value = parsed(value)
    if value in (None, "", [], {}) or _redacted(value, MAX_LEVELS):
        return None
    return args_hash(pepper, _lean(value, MAX_LEVELS))


def size(value: Any) -> int | None:
    """Bytes of a result: of its text parts if it has the MCP form, else of its JSON."""
    value = parsed(value)
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("content"), list):
        value = value["content"]
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        texts = [part.get("text") for part in value]
        if texts and all(isinstance(text, str) for text in texts):
            return sum(_bytes(text) for text in texts if isinstance(text, str))
    return _bytes(value) if isinstance(value, str) else len(canonical_json(value))


def arguments(value: Any, context: Context) -> dict[str, Any]:
    """The fields of an event that speak of a tool's arguments."""
    value = parsed(value)
    if value is None or value == "":
        return {}
    draft: dict[str, Any] = {
        "tool.args.hash": args_hash(context.pepper, value),
        "tool.args.size": _bytes(value) if isinstance(value, str) else len(canonical_json(value)),
        "tool.destination.ids": destinations(value, context.pepper),
    }
    for name, item in _named(value):
        plain = re.sub(r"[^a-z]", "", name.lower()[:64])
        if plain in _IDEMPOTENCY:
            draft.setdefault("idempotency_key.id", fingerprint(context.pepper, item))
        if name in context.resource_arguments:
            draft.setdefault("resource.id", fingerprint(context.pepper, item))
    return draft


def destinations(value: Any, pepper: bytes) -> list[str]:
    """Fingerprints of the e-mail addresses, bank accounts and hosts that `value` mentions."""
    found: dict[str, None] = {}
    left = MAX_SCANNED
    for text in _texts(value, MAX_LEVELS):
        text = text[:left]
        left -= len(text)
        names = [match.lower() for match in EMAIL.findall(text)]
        names += [match.replace(" ", "") for match in _ACCOUNT.findall(text)]
        names += [match.lower().rstrip(".") for match in _HOST.findall(text)]
        found |= dict.fromkeys(fingerprint(pepper, name) for name in names)
        if left <= 0 or len(found) >= MAX_LIST:
            break
    return list(found)[:MAX_LIST]


def side_effect(tool: Any, annotations: Any, context: Context) -> bool | None:
    """Whether a tool changes something: the operator's word first, then MCP annotations."""
    if isinstance(tool, str):
        for name in (tool, re.split(r"[-/.:]|__", tool)[-1]):
            if name in context.side_effects:
                return context.side_effects[name]
    annotations = parsed(annotations)
    if isinstance(annotations, Mapping):
        read_only = annotations.get("readOnlyHint", annotations.get("read_only_hint"))
        if isinstance(read_only, bool):
            return not read_only
        destructive = annotations.get("destructiveHint", annotations.get("destructive_hint"))
        if destructive is True:
            return True
    return None


def _lean(value: Any, levels: int) -> Any:
    """Without empty members and vendors' additions, so that streamed and whole answers agree."""
    if levels > 0 and isinstance(value, dict):
        return {
            name: _lean(item, levels - 1)
            for name, item in value.items()
            if item not in (None, "", [], {}) and name not in _ADDITIONS
        }
    if levels > 0 and isinstance(value, list):
        return [_lean(item, levels - 1) for item in value]
    return value


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _redacted(value: Any, levels: int) -> bool:
    return any(
        len(text) < 64 and REDACTED.fullmatch(text.strip()) for text in _texts(value, levels)
    )


def _texts(value: Any, levels: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif levels > 0 and isinstance(value, dict):
        for item in value.values():
            yield from _texts(item, levels - 1)
    elif levels > 0 and isinstance(value, list):
        for item in value:
            yield from _texts(item, levels - 1)


def _named(value: Any, levels: int = 3) -> Iterator[tuple[str, str]]:
    if levels > 0 and isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str | int) and not isinstance(item, bool) and str(item)[:1]:
                yield str(name), str(item)[:4096]
            else:
                yield from _named(item, levels - 1)
