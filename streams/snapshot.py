"""How state is written down: our own versioned schema in MessagePack, compressed; never pickle."""

from typing import Any

import msgspec
import numpy as np
import zstandard

STATE_VERSION = "9"


class BadSnapshot(ValueError):
    """The bytes are not a snapshot that this version can read; judge from the journal instead."""


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"\0": [value.dtype.str, list(value.shape), value.tobytes()]}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.integer):
        return int(value)
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        if "\0" in value:
            dtype, shape, data = value["\0"]
            return np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()
        return {key: _rich(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rich(item) for item in value]
    return value


def pack(state: dict[str, Any]) -> bytes:
    """The state as bytes; equal states give equal bytes."""
    data = msgspec.msgpack.encode(_plain({"version": STATE_VERSION, **state}))
    return zstandard.ZstdCompressor(level=1).compress(data)


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given.

    Raises:
        BadSnapshot: broken, or of another version.
    """
    try:
        state = _rich(msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data)))
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError) as error:
        raise BadSnapshot(f"snapshot is broken: {error}") from None
    if not isinstance(state, dict) or state.get("version") != STATE_VERSION:
        raise BadSnapshot(f"snapshot is not of version {STATE_VERSION}")
    return state
