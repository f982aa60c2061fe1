"""Masks that select the few events a detector inspects one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.features import (
    CACHEABLE_TOKENS,
    LONG_ANSWER_TOKENS,
    SHORT_ANSWER_TOKENS,
    WORD_TOKENS,
)
from detectors.leaked_canary import PLANTED
from detectors.runaway_session import LARGE_TOKENS
from schemas.fingerprint import fingerprint_of
from schemas.shape import words_of

SAMPLE_BITS = 4  # one model call in sixteen is looked at for the health of a service
TOOL_SAMPLE_BITS = 2  # and one tool call in four
MODEL_CALL, TOOL_CALL, OK = 3, 4, 1  # bits of the columns `name` and `outcome`
FAILED = 2 | 4 | 8  # of `outcome`: denied, limited, otherwise
TIMED_OUT = words_of("error_type").index("timeout") + 1
NOT_CONNECTED = words_of("error_type").index("connection") + 1
TOOL_LIST = words_of("event_name").index("agent.tool_list") + 1
CONTROL_PLANE = words_of("event_name").index("llm.control_plane") + 1
USAGE_BUCKET = words_of("event_name").index("llm.usage_bucket") + 1
PLANTED_SOURCE = np.uint64(fingerprint_of(PLANTED))
_MIX = np.uint64(0x9E3779B97F4A7C15)

Mask = npt.NDArray[np.bool_]


def sample(ids: Any, bits: int) -> Mask:
    """One event in 2**bits (0: all), chosen by its id, so that no order of arrival shows."""
    if not bits:
        return np.ones(len(ids), np.bool_)
    mixed = (ids ^ (ids >> np.uint64(32))) * _MIX
    return np.asarray((mixed >> np.uint64(64 - bits)) == 0)


MASKS: dict[str, Callable[[Any], npt.NDArray[Any]]] = {
    "tenant": lambda c: c.hashes("tenant_id"),
    "control_plane": lambda c: c.numbers("event_name") == CONTROL_PLANE,
    "usage_bucket": lambda c: c.numbers("event_name") == USAGE_BUCKET,
    "metered": lambda c: c["usage_bucket"] | (c["model_call"] & (c["tokens"] > 0)),
    "owned": lambda c: (
        (c["tenant"] > 0) & c["keyed"] & ((c["name"] & (MODEL_CALL | TOOL_CALL)) > 0)
    ),
    "answered_at_origin": lambda c: (
        c["model_call"] & ((c["outcome"] & OK) > 0) & (c["address"] > 0) & c["trusted"]
    ),
    "sampled": lambda c: c["model_call"] & ((c["outcome"] & OK) > 0) & sample(c["id"], SAMPLE_BITS),
    "cacheable": lambda c: c["sampled"] & (c.numbers("input_tokens") >= CACHEABLE_TOKENS),
    "cache_user": lambda c: (
        c["sampled"] & ((c.numbers("cache_creation_tokens") | c.numbers("cache_read_tokens")) > 0)
    ),
    "served": lambda c: c["sampled"] & (c.numbers("response_model") != 0) & (c["model"] > 0),
    "first_chunk": lambda c: c["sampled"] & (c.numbers("time_to_first_chunk_s") > 0),
    "spoken": lambda c: c["sampled"] & (c.numbers("output_tokens") > 0),
    "sampled_tool": lambda c: (c["name"] == TOOL_CALL) & sample(c["id"], TOOL_SAMPLE_BITS),
    "sampled_any": lambda c: c["sampled"] | c["sampled_tool"],
    "truncation": lambda c: c["tool_call"] & (c.numbers("tool_result_truncated") != 0),
    "wasted": lambda c: (c["nanousd"] > 0) & c["failed"],
    "failed": lambda c: ((c["outcome"] & FAILED) > 0) | (c.numbers("http_status") >= 400),
    "refused_request": lambda c: c["model_call"] & (c["prompt"] > 0) & c["failed"],
    "pushed_back": lambda c: (
        c["model_call"] & (c["rate_limited"] | (c.numbers("http_status") >= 500))
    ),
    "stalled": lambda c: (
        c["model_call"]
        & ((c.numbers("error_type") == TIMED_OUT) | (c.numbers("error_type") == NOT_CONNECTED))
    ),
    "tool_list": lambda c: c.numbers("event_name") == TOOL_LIST,
    "marked_answer": lambda c: (
        c["model_call"]
        & c["answered"]
        & (c.numbers("content_output_hash") != 0)
        & (c.numbers("output_tokens") >= LONG_ANSWER_TOKENS)
    ),
    "timed_word": lambda c: (
        c["fixed_question"]
        & (c.numbers("time_to_first_chunk_s") > 0)
        & (c.numbers("output_tokens") <= WORD_TOKENS)
    ),
    "fixed_question": lambda c: (
        c["model_call"]
        & c["answered"]
        & (c["prompt"] > 0)
        & (c.numbers("output_tokens") > 0)
        & (c.numbers("output_tokens") <= SHORT_ANSWER_TOKENS)
    ),
    "planted_record": lambda c: c.hashes("resource_owner_source") == PLANTED_SOURCE,
    "carrying": lambda c: (
        (
            (
                c.numbers("resource_id")
                | c.numbers("tool_args_hash")
                | c.numbers("content_output_hash")
            )
            | c.numbers("tool_result_sampled_ids")
            | c.numbers("tool_destination_ids")
        )
        != 0
    ),
    "large_call": lambda c: (
        c["model_call"] & c["answered"] & (c.numbers("input_tokens") >= LARGE_TOKENS)
    ),
}
"""Name of a mask -> how it is made from the columns of a block."""
