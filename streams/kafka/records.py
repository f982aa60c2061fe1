"""Records on our topics: keys, headers, and which shard a key belongs to."""

from collections.abc import Iterable, Sequence

import msgspec
import xxhash

from schemas.finding import Finding
from streams.kafka.topics import MAX_RECORD_BYTES, SHARD_HASH

MAX_VALUE_BYTES = 512 * 1024  # of NDJSON that ingest puts in one record
MAX_EVENT_BYTES = MAX_RECORD_BYTES // 2  # of one event; headers and framing need room

Headers = list[tuple[str, bytes]]


class _Keys(msgspec.Struct, gc=False):
    key: str | None = msgspec.field(default=None, name="api_key.id")
    tenant: str | None = msgspec.field(default=None, name="tenant.id")


_keys = msgspec.json.Decoder(_Keys)


def shard_of(key: str, shards: int) -> int:
    """The shard that remembers a key: the same everywhere, for ever.

    >>> shard_of("hmac:0123456789abcdef", 16)
    8
    """
    return xxhash.xxh3_64_intdigest(key.encode(errors="surrogatepass")) % shards


def finding_key(finding: Finding) -> bytes:
    """The key of a finding's record: all findings about one entity are in one partition, in order.

    The partition is `shard_of` this key.
    """
    return f"{finding.entity.lane}:{finding.entity.id}".encode(errors="replace")


def placed_by(partitions: int) -> bytes:
    """The value of `HEADER_PLACED`: hash and number of partitions."""
    return f"{SHARD_HASH}/{partitions}".encode()


def place(lines: Iterable[bytes], partitions: int) -> dict[int, list[bytes]]:
    """Sorts canonical lines by partition, each key's own lines in their order.

    A line goes where its key goes; without one, where its tenant goes. So a line that is sent
    again comes to the partition that knows it already.
    """
    sorted_lines: dict[int, list[bytes]] = {}
    for line in lines:
        found = _keys.decode(line)
        key = found.key or f"tenant\0{found.tenant}"
        sorted_lines.setdefault(shard_of(key, partitions), []).append(line)
    return sorted_lines


def values(lines: Sequence[bytes], limit: int = MAX_VALUE_BYTES) -> Iterable[bytes]:
    """Lines as NDJSON values of at most `limit` bytes, unless one line is longer."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and size + len(line) + 1 > limit:
            yield b"\n".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield b"\n".join(part)
