"""Recognises the format of a body, and cuts large files into bodies of bounded size."""

import re

from schemas.adapters.read import BOM

BLOCK_BYTES = 1024 * 1024  # read at once from a file
HEAD_BYTES = 256 * 1024  # looked at to recognise a format

_SIGNS = (
    ("otlp-traces", re.compile(rb'"resourceSpans"\s*:\s*\[')),
    ("otlp-logs", re.compile(rb'"resourceLogs"\s*:\s*\[')),
    ("canonical", re.compile(rb'"event\.schema_version"\s*:|"record"\s*:\s*"control"')),
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
_CANONICAL = re.compile(rb'"event\.(?:name|id)"\s*:')
_BRACKETS = re.compile(rb'"(?:[^"\\\n]|\\.)*+"|[{}\[\]]')


class UnknownFormat(ValueError):
    """The bytes have no form we know; the message says what to do."""


def detect(body: bytes) -> str:
    """The name in `FORMATS` of what these bytes are; the beginning of a file is enough.

    Raises:
        UnknownFormat: says what was seen and what to do.
    """
    head = body.removeprefix(BOM).lstrip()[:HEAD_BYTES]
    if not head:
        raise UnknownFormat("the input is empty")
    for magic, name in _PACKED:
        if head.startswith(magic):
            raise UnknownFormat(f"the input is packed ({name}); unpack it first")
    if head[:1] in (b"{", b"["):
        found = [(sign.start(), name) for name, form in _SIGNS if (sign := form.search(head))]
        if found:
            return min(found)[1]
        if _CANONICAL.search(head):
            return "canonical"
        raise UnknownFormat(
            "this JSON has none of the members that tell canonical events, OTLP and LiteLLM apart;"
            " name the format"
        )
    if head[:1] == b"\n":  # tag of the first field of an OTLP export; never reached by text
        raise UnknownFormat("name the format")
    return _binary(body)


def _binary(body: bytes) -> str:
    from schemas.adapters import otlp_protobuf  # costs 0.1 s, and most commands do without

    if body[:1] == b"\n" and (kind := otlp_protobuf.sniff(body)):
        return kind
    raise UnknownFormat("neither JSON nor an OTLP protobuf export; name the format")
