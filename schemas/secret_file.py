"""Keeps a random secret in a file of its own: whole or not at all, and for its owner only."""

import os
import secrets
import stat
from pathlib import Path


class UnsafeSecret(ValueError):
    """The file cannot be trusted; the message says why and what to do."""


def load_secret(path: Path, size: int, otherwise: str) -> bytes:
    """Reads the secret, or makes it (mode 0600) if there is no file yet.

    A process killed at any moment leaves a whole secret or none, and of several that make it at
    once one wins and all read that one.

    Args:
        size: bytes.
        otherwise: what follows if a damaged file is removed instead of restored.
    Raises:
        UnsafeSecret: others may read the file, or it does not hold `size` bytes.
        OSError: it cannot be read or made.
    """
    if path.exists():
        return _read(path, size, otherwise)
    secret = os.urandom(size)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # whole or not at all, and never over another's secret
        _sync(path.parent)  # what is sealed with it must not outlive it in a power cut
    except FileExistsError:
        return _read(path, size, otherwise)
    finally:
        draft.unlink(missing_ok=True)
    return secret


def _read(path: Path, size: int, otherwise: str) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UnsafeSecret(
                f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}"
            )
        secret = file.read(size + 1)
    if len(secret) != size:
        raise UnsafeSecret(
            f"{path} should hold {size} bytes; restore it from a copy, or remove it to start"
            f" anew ({otherwise})"
        )
    return secret


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
