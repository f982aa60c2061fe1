"""Recognises the format of a body from what it says about itself."""

import re

from schemas.adapters.read import BOM
from schemas.adapters.wire import export

HEAD_BYTES = 256 * 1024  # looked at to recognise a format

_SIGNS = (
    ("otlp-traces", re.compile(rb'"resourceSpans"\s*:\s*\[')),
    ("otlp-logs", re.compile(rb'"resourceLogs"\s*:\s*\[')),
    ("canonical", re.compile(rb'"event\.(?:schema_version|name|id)"\s*:|"record"\s*:\s*"control"')),
    ("litellm", re.compile(rb'"(?:litellm_call_id|status_fields|call_type)"\s*:')),
)
_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"PAR1", "Parquet"),
)


class UnknownFormat(ValueError):
    """The bytes have no form we know; the message says what to do."""


def detect(body: bytes) -> str:
    """The name in `FORMATS` of what these bytes are; the beginning of a file is enough.

    Raises:
        UnknownFormat: says what was seen and what to do.
    """
    if kind := export(body[:HEAD_BYTES], cut=True):
        return kind
    head = body.removeprefix(BOM).lstrip()[:HEAD_BYTES]
    if not head:
        raise UnknownFormat("the input is empty")
    for magic, name in _PACKED:
        if head.startswith(magic):
            raise UnknownFormat(f"the input is packed ({name}); unpack it first")
    found = [(sign.start(), name) for name, form in _SIGNS if (sign := form.search(head))]
    if found:
        return min(found)[1]
    if head[:1] in (b"{", b"["):
        raise UnknownFormat(
            "this JSON has none of the members that tell canonical events, OTLP and LiteLLM"
            " records apart; name the format"
        )
    raise UnknownFormat("neither JSON nor an OTLP protobuf export; name the format")
