"""What makes a record of `events` plain: one event, whose key is a fingerprint already."""

import numpy as np

from schemas.identity import FINGERPRINT
from schemas.reader import Block
from schemas.shape import FIELDS
from streams.kafka.lines import Spans

KNOWN_KEYS = 1 << 16  # remembered; where two share a place, both are looked at again and again
OPEN = ord("{")


def begin_plainly(spans: Spans) -> bool:
    """Whether each of these begins with what an event begins with, so that none is blank."""
    data, begins, ends = spans
    if (begins == ends).any():
        return False
    return bool((np.frombuffer(data, np.uint8)[begins] == OPEN).all())


class Keys:
    """Remembers which keys are known to be fingerprints already, so that each is looked at once."""

    def __init__(self) -> None:
        self._known = np.zeros(KNOWN_KEYS, np.uint64)

    def hashed(self, read: Block) -> bool:
        """Whether the keys of all events are."""
        keys = read.values[FIELDS["api_key_id"]].view(np.uint64)
        slots = (keys >> np.uint64(32)).astype(np.int64) % KNOWN_KEYS
        for at in np.flatnonzero((self._known[slots] != keys) & (keys > 0)).tolist():
            if self._known[slots[at]] != keys[at]:
                if not FINGERPRINT.fullmatch(read.records[at].api_key_id):
                    return False
                self._known[slots[at]] = keys[at]
        return True


def hashed(block: bytes) -> bool:
    """Whether every key among the events is a fingerprint already, as far as bytes show it."""
    if b"\\u" in block:
        return False
    keys, hashed = block.count(b'"api_key.id"'), block.count(b'"api_key.id":"hmac:')
    return keys == hashed or keys == hashed + block.count(b'"api_key.id":null')
