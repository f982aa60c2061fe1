"""Turns the records of many senders into canonical events; a table of contents."""

from schemas.adapters import canonical, litellm
from schemas.adapters.base import Adapted, Adapter, Context, Refused, Rejected

__all__ = ["FORMATS", "Adapted", "Adapter", "Context", "Refused", "Rejected", "adapt"]

FORMATS: dict[str, Adapter] = {"canonical": canonical.adapt, "litellm": litellm.adapt}


def adapt(body: bytes, format: str, context: Context) -> Adapted:
    """What a body of the named format says.

    Raises:
        KeyError: no such format, see `FORMATS`.
    """
    return FORMATS[format](body, context)
