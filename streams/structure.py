"""The shape of a refused original: names and types of its fields, never a value."""

import json
import re
from typing import Any

MAX_DEPTH = 5
MAX_KEYS = 40  # of one object
MAX_LINES = 200
MAX_PARSED_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,47}")


def structure(raw: bytes) -> list[str]:
    """Lines such as `usage.input_tokens: integer`.

    A name that does not look like a field's is shown by its length only: it is attacker's text.

    >>> structure(b'{"a": {"b": [1, 2]}, "say hello": null}')
    ['a: object', 'a.b: list of 2', 'a.b[0]: integer', '<name of 9 characters>: null']
    """
    if len(raw) > MAX_PARSED_BYTES:
        return [f"{len(raw)} bytes, too long to look into"]
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        kind = "text" if _is_text(raw) else "binary"
        return [f"{len(raw)} bytes of {kind}, not JSON"]
    lines: list[str] = []
    _walk("", value, 0, lines)
    return lines[:MAX_LINES]


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw


def _walk(path: str, value: Any, depth: int, lines: list[str]) -> None:
    if len(lines) >= MAX_LINES:
        return
    if path or not isinstance(value, dict):
        lines.append(f"{path or 'whole'}: {_kind(value)}")
    if depth >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in list(value.items())[:MAX_KEYS]:
            name = key if _NAME.fullmatch(key) else f"<name of {len(key)} characters>"
            _walk(f"{path}.{name}" if path else name, inner, depth + 1, lines)
        if len(value) > MAX_KEYS:
            lines.append(f"{path or 'whole'}: and {len(value) - MAX_KEYS} more names")
    elif isinstance(value, list) and value:
        _walk(f"{path}[0]", value[0], depth + 1, lines)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return f"string of {len(value)} characters"
        case list():
            return f"list of {len(value)}"
        case _:
            return "object"
