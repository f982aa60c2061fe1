"""Seals rejected originals: AES-GCM under a key of its own, so that a stolen copy tells nothing."""

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.secret_file import UnsafeSecret, load_secret

KEY_BYTES = 32
NONCE_BYTES = 12
MAX_ORIGINAL_BYTES = 2**20  # longer originals are cut, marked, and cannot be retried
MAX_LABEL = 200  # characters of a field, a reason or a place


class QuarantineLocked(Exception):
    """The key file does not open this quarantine."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An original that only the key opens; the id is part of what is authenticated."""

    id: str
    data: bytes
    size: int
    cut: bool


class Seal:
    """One key: seals originals, and opens what it sealed."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise QuarantineLocked(f"a quarantine key has {KEY_BYTES} bytes, this one {len(key)}")
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, path: Path) -> "Seal":
        """Reads the key, or makes it (mode 0600) if there is no file yet.

        Raises:
            QuarantineLocked: the file is no key, or others may read it.
            OSError: it cannot be read or made.
        """
        try:
            return cls(load_secret(path, KEY_BYTES, "what it sealed can then not be opened"))
        except UnsafeSecret as error:
            raise QuarantineLocked(str(error)) from None

    @classmethod
    def read(cls, path: Path) -> "Seal":
        """Reads a key that must be there.

        Raises:
            QuarantineLocked: the file is no key.
            OSError: it cannot be read.
        """
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise QuarantineLocked(f"{path} is not {KEY_BYTES} bytes long")
        return cls(key)

    @property
    def name(self) -> str:
        """`key:` and 16 hex digits: tells keys apart, and nothing about them."""
        return "key:" + hmac.digest(self._key, b"tripmeter/quarantine", "sha256").hex()[:16]

    def close(self, labels: tuple[str, ...], raw: bytes) -> Sealed:
        """Seals one original.

        Args:
            labels: what else names it (source, format, field, reason).
        Returns:
            A keyed name (the same record sent again has the same one, and it tells nothing), and
            nonce and ciphertext of the compressed original.
        """
        text = "\0".join(map(label, labels)).encode() + b"\0" + raw
        id = hmac.new(self._key, text, sha256).hexdigest()[:32]
        kept = raw[:MAX_ORIGINAL_BYTES]
        nonce = os.urandom(NONCE_BYTES)
        packed = zstandard.ZstdCompressor(level=1).compress(kept)
        data = nonce + self._cipher.encrypt(nonce, packed, id.encode())
        return Sealed(id, data, len(raw), len(raw) > len(kept))

    def open(self, id: str, data: bytes) -> bytes:
        """The original.

        Raises:
            QuarantineLocked: another key sealed it, or it was changed.
        """
        try:
            packed = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], id.encode())
        except InvalidTag:
            raise QuarantineLocked("quarantine.key is not the key of this quarantine") from None
        return zstandard.ZstdDecompressor().decompress(packed)


def label(text: str) -> str:
    """Text that may come from an attacker, made safe to print: bounded, printable ASCII.

    >>> label("a\\x1b[31m\\nb")
    'a\\\\x1b[31m\\\\nb'
    """
    return (
        text[:MAX_LABEL]
        .encode("ascii", "backslashreplace")
        .decode()
        .translate(_ESCAPES)[:MAX_LABEL]
    )


_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(32), 127)}
