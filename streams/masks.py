"""Masks that select the few events a detector inspects one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.features import CACHEABLE_TOKENS, TINY_TOKENS
from detectors.runaway_session import LARGE_TOKENS

SAMPLE_BITS = 3  # one model call in eight is looked at for the health of a service
TOOL_SAMPLE_BITS = 2  # and one tool call in four
MODEL_CALL, TOOL_CALL, OTHER, OK = 3, 4, 8, 1  # bits of the columns `name` and `outcome`
_MIX = np.uint64(0x9E3779B97F4A7C15)

Mask = npt.NDArray[np.bool_]


def sample(ids: Any, bits: int) -> Mask:
    """One event in 2**bits, chosen by its id, so that no order of arrival shows."""
    mixed = (ids ^ (ids >> np.uint64(32))) * _MIX
    return np.asarray((mixed >> np.uint64(64 - bits)) == 0)


def _among(columns: Any, name: str, wanted: Callable[[Any], bool]) -> Mask:
    """The events a mask selects that are also wanted; asks only about those it selects."""
    mask = np.zeros(len(columns.records), np.bool_)
    if columns.any(name):
        records = columns.records
        mask[[row for row in np.flatnonzero(columns[name]).tolist() if wanted(records[row])]] = True
    return mask


MASKS: dict[str, Callable[[Any], npt.NDArray[Any]]] = {
    "tenant": lambda c: c.hashes("tenant_id"),
    "rare": lambda c: c["name"] == OTHER,
    "control_plane": lambda c: _among(c, "rare", lambda r: r.event_name == "llm.control_plane"),
    "usage_bucket": lambda c: _among(c, "rare", lambda r: r.event_name == "llm.usage_bucket"),
    "metered": lambda c: c["usage_bucket"] | (c["model_call"] & (c["tokens"] > 0)),
    "owned": lambda c: (
        (c["tenant"] > 0) & c["keyed"] & ((c["name"] & (MODEL_CALL | TOOL_CALL)) > 0)
    ),
    "answered_at_origin": lambda c: (
        c["model_call"] & ((c["outcome"] & OK) > 0) & (c["address"] > 0) & c["trusted"]
    ),
    "sampled": lambda c: c["model_call"] & ((c["outcome"] & OK) > 0) & sample(c["id"], SAMPLE_BITS),
    "tiny_or_sampled": lambda c: c["sampled"] | (c["model_call"] & (c["tokens"] <= TINY_TOKENS)),
    "cacheable": lambda c: _among(
        c,
        "sampled",
        lambda r: r.cache_read_tokens is not None and (r.input_tokens or 0) >= CACHEABLE_TOKENS,
    ),
    "cache_user": lambda c: _among(
        c, "sampled", lambda r: bool(r.cache_creation_tokens or r.cache_read_tokens)
    ),
    "served": lambda c: _among(
        c, "sampled", lambda r: r.response_model is not None and r.request_model is not None
    ),
    "first_chunk": lambda c: _among(c, "sampled", lambda r: r.time_to_first_chunk_s is not None),
    "spoken": lambda c: _among(c, "sampled", lambda r: bool(r.output_tokens)),
    "sampled_tool": lambda c: (c["name"] == TOOL_CALL) & sample(c["id"], TOOL_SAMPLE_BITS),
    "truncation": lambda c: _among(c, "tool_call", lambda r: r.tool_result_truncated is not None),
    "large_call": lambda c: (
        c["model_call"] & c["answered"] & (c.numbers("input_tokens") >= LARGE_TOKENS)
    ),
}
"""Name of a mask -> how it is made from the columns of a block."""
