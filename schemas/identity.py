"""Turns keys, arguments and contents into fingerprints that only this installation can compare.

Every fingerprint is HMAC-SHA256 under a 32-byte pepper, cut to 64 bits: equal values have equal
fingerprints on every host that holds the same pepper, and nobody else can look a value up.
"""

import hashlib
import hmac
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import rfc8785

from schemas.secret_file import UnsafeSecret, load_secret

PEPPER_BYTES = 32
SAFE_INTEGER = 2**53 - 1  # RFC 8785 knows IEEE 754 doubles only
MAX_CANONICAL_BYTES = 262_144  # beyond this, plain sorted JSON is fingerprinted instead
MAX_CANONICAL_DEPTH = 64

FINGERPRINT = re.compile(r"hmac:[0-9a-f]{16}")


class UnsafePepper(ValueError):
    """The pepper file cannot be trusted; the message says why and what to do."""


@dataclass(frozen=True, repr=False)
class Pepper:
    """The secret of one installation: 32 bytes. Only its own `fingerprint` may be shown."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != PEPPER_BYTES:
            raise UnsafePepper(f"a pepper has {PEPPER_BYTES} bytes, this one {len(self.secret)}")

    def __repr__(self) -> str:
        return f"Pepper({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """`pepper:` and 16 hex digits: tells whether two hosts hold the same pepper."""
        return "pepper:" + hmac.digest(self.secret, b"tripmeter/pepper", "sha256").hex()[:16]

    @classmethod
    def load(cls, path: Path) -> "Pepper":
        """Reads the pepper, or makes it (mode 0600) if there is no file yet.

        Raises:
            UnsafePepper: others may read the file, or it does not hold 32 bytes.
            OSError: the file cannot be read or made.
        """
        try:
            return cls(load_secret(path, PEPPER_BYTES, "known keys will then look new"))
        except UnsafeSecret as error:
            raise UnsafePepper(str(error)) from None


def fingerprint(pepper: bytes, value: str | bytes) -> str:
    """`hmac:` and 16 hex digits that stand for `value`.

    >>> fingerprint(bytes(32), "sk-1")
    'hmac:b57d26e10103885b'
    """
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return "hmac:" + hmac.digest(pepper, data, hashlib.sha256).hex()[:16]


def is_fingerprint(value: str) -> bool:
    """Whether `value` already has the form `fingerprint` gives."""
    return FINGERPRINT.fullmatch(value) is not None


def identifier(pepper: bytes, value: str) -> str:
    """The fingerprint of an id; one that already is a fingerprint passes unchanged."""
    return value if is_fingerprint(value) else fingerprint(pepper, value)


def args_hash(pepper: bytes, value: Any) -> str:
    """The fingerprint of a JSON value: independent of key order, spacing and number spelling."""
    return fingerprint(pepper, canonical_json(value))


def canonical_json(value: Any) -> bytes:
    """RFC 8785 JSON of `value`, with a stated way out for what RFC 8785 cannot say.

    Integers beyond 2**53 - 1 become `{"$int": hex}`, NaN and infinities `{"$float": name}`,
    lone surrogates U+FFFD, keys that are no strings their text, levels beyond 64 `{"$deep": true}`.
    Values of more than 256 KiB are written as sorted compact JSON instead, which is faster and
    just as repeatable.
    """
    value = _representable(value, MAX_CANONICAL_DEPTH)
    compact = msgspec.json.encode(value, order="sorted")
    return compact if len(compact) > MAX_CANONICAL_BYTES else rfc8785.dumps(value)


def _representable(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return value.encode("utf-8", "replace").decode() if not value.isascii() else value
        case int():
            return value if abs(value) <= SAFE_INTEGER else {"$int": hex(value)}
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case dict() | list() | tuple() if depth <= 0:
            return {"$deep": True}
        case dict():
            return {
                _representable(str(key), 1): _representable(item, depth - 1)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_representable(item, depth - 1) for item in value]
    return str(type(value).__name__)
