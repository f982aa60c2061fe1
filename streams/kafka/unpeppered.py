"""Reads records in a process that has no pepper: what would need one is refused, never guessed."""

from dataclasses import replace

from schemas.adapters import Adapted, Context, Rejected, adapt
from schemas.identity import PEPPER_BYTES

REASON = "a raw key or content: only a process with the installation's pepper can read it"
_ONE, _OTHER = bytes(PEPPER_BYTES), bytes([255]) * PEPPER_BYTES


def adapt_without_pepper(body: bytes, format: str, context: Context) -> Adapted:
    """As `schemas.adapters.adapt`; events that come out differently under two peppers are refused.

    Args:
        context: its pepper is not used.
    """
    one = adapt(body, format, replace(context, pepper=_ONE))
    other = adapt(body, format, replace(context, pepper=_OTHER))
    same = [a for a, b in zip(one.events, other.events, strict=False) if a == b]
    secret = len(one.events) - len(same)
    if not secret:
        return one
    refused = Rejected("", REASON, body, 0, secret)
    return Adapted(same, [*one.rejections, refused], one.ignored)
