"""Rejected originals on `tripmeter.events.invalid`: sealed, with the reason and where they were.

A record is JSON; its original is sealed like in the local quarantine, and `key` names the key that
opens it. Whoever may read the topic learns what was wrong, never what was in it.
"""

import base64
import binascii
from pathlib import Path

import msgspec

from streams.configuration import BadConfig
from streams.kafka.settings import KafkaSettings
from streams.quarantine import KEY_FILE, Refused
from streams.seal import QuarantineLocked, Seal, label


class Position(msgspec.Struct, frozen=True):
    """Where the original was read: a record of a topic; `topic` is empty for what came by HTTP."""

    topic: str = ""
    partition: int = -1
    offset: int = -1


class Invalid(msgspec.Struct, frozen=True):
    """One record of the topic.

    Attributes:
        id: the same original refused for the same reason has the same one.
        at: epoch seconds when it was refused.
        size: bytes of the whole original; `cut` says that only its beginning is sealed.
        key: which key opens `sealed`.
        sealed: base64.
    """

    id: str
    at: float
    source: str
    place: str
    format: str
    field: str
    reason: str
    size: int
    cut: bool
    key: str
    sealed: str
    position: Position = Position()


def find_seal(kafka: KafkaSettings, base: Path, data: Path) -> Seal:
    """The seal of this process: `invalid_key_file`, or `quarantine.key` in the data folder.

    Raises:
        BadConfig: the file cannot be read, or is no key.
    """
    try:
        if kafka.invalid_key_file:
            return Seal.read(base / kafka.invalid_key_file)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Seal.load(data / KEY_FILE)
    except QuarantineLocked as error:
        remedy = "`openssl rand 32` makes a good one"
        raise BadConfig([f"kafka.invalid_key_file: {error}; {remedy}"]) from None
    except OSError as error:
        raise BadConfig([f"kafka.invalid_key_file: {error.strerror}; make it readable"]) from None


def encode(refused: Refused, seal: Seal, at: float, position: Position | None = None) -> bytes:
    """The value of a record; use the id (`key_of`) as its key.

    Args:
        at: epoch seconds.
    """
    sealed = seal.close(refused.labels, refused.raw)
    return msgspec.json.encode(
        Invalid(
            id=sealed.id,
            at=at,
            source=label(refused.source),
            place=label(refused.place),
            format=label(refused.format),
            field=label(refused.field),
            reason=label(refused.reason),
            size=sealed.size,
            cut=sealed.cut,
            key=seal.name,
            sealed=base64.b64encode(sealed.data).decode(),
            position=position or Position(),
        )
    )


def decode(value: bytes) -> Invalid:
    """What a record says; its original stays sealed.

    Raises:
        ValueError: it is none of ours.
    """
    return msgspec.json.decode(value, type=Invalid)


def original(record: Invalid, seal: Seal) -> bytes:
    """The original.

    Raises:
        QuarantineLocked: another key sealed it.
    """
    if record.key != seal.name:
        raise QuarantineLocked(f"it was sealed with {record.key}, this is {seal.name}")
    try:
        return seal.open(record.id, base64.b64decode(record.sealed, validate=True))
    except binascii.Error:
        raise QuarantineLocked("its sealed part is damaged") from None
