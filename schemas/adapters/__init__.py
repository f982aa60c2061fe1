"""Turns the records of many senders into canonical events; a table of contents."""

from schemas.adapters import canonical, litellm, otlp
from schemas.adapters.base import MAX_BODY_BYTES, Adapted, Adapter, Context, Refused, Rejected
from schemas.adapters.cut import chunks
from schemas.adapters.detect import UnknownFormat, detect

__all__ = [
    "FORMATS",
    "PROVIDES",
    "Adapted",
    "Adapter",
    "Context",
    "Refused",
    "Rejected",
    "UnknownFormat",
    "adapt",
    "chunks",
    "detect",
]

FORMATS: dict[str, Adapter] = {
    "canonical": canonical.adapt,
    "otlp-traces": otlp.adapt_traces,
    "otlp-logs": otlp.adapt_logs,
    "litellm": litellm.adapt,
}

PROVIDES: dict[str, frozenset[str]] = {
    "canonical": canonical.PROVIDES,
    "otlp-traces": otlp.PROVIDES,
    "otlp-logs": otlp.PROVIDES,
    "litellm": litellm.PROVIDES,
}
"""Format -> wire names of the fields it can fill."""


def adapt(body: bytes, format: str, context: Context) -> Adapted:
    """What a body of the named format says; never raises for what the body holds.

    Raises:
        KeyError: no such format, see `FORMATS`.
    """
    if len(body) > MAX_BODY_BYTES:
        reason = f"more than {MAX_BODY_BYTES} bytes in one body"
        return Adapted([], [Rejected("", reason, body[:4096], 0)], 0)
    return FORMATS[format](body, context)
