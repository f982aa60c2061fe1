"""A shard's snapshot as records of a compacted topic: only chunks that changed, then a manifest.

Nobody writes over what somebody else wrote: the keys carry the writer's *epoch*, a random name it
takes when it gets a shard. Any manifest whose chunks are all there is a state the shard once had,
with the offset it had read up to; the one that read furthest is the best. So a writer that does not
know that it was replaced can leave rubbish, but neither tear a snapshot nor make one wrong.
"""

import secrets
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

FORM = 1
KEPT = 3  # manifests of one writer
LEAST, USUAL_BITS, MOST = 1 << 15, 17, 1 << 19  # bytes of a chunk; 2**17 between usual ends
_WINDOW = 32  # bytes that decide whether a chunk ends
_STEP = 1 << 20  # bytes looked at together
_GEAR = np.random.Generator(np.random.PCG64(7)).integers(0, 2**32, 256, np.uint64)

Record = tuple[bytes, bytes | None]


class Manifest(msgspec.Struct, array_like=True, frozen=True):
    """A complete snapshot.

    Attributes:
        seen: offset of the lane's topic that it includes.
        chunks: their hashes, in order.
        size: bytes of the snapshot.
    """

    form: int
    seen: int
    chunks: list[bytes]
    size: int


def ends(data: bytes) -> list[int]:
    """Where chunks end: a property of the bytes around, so that an insertion moves no other end."""
    raw = np.frombuffer(data, np.uint8)
    wanted: list[npt.NDArray[np.int64]] = []
    for begin in range(0, len(raw), _STEP):
        lead = min(begin, _WINDOW)
        sums = np.cumsum(_GEAR[raw[begin - lead : begin + _STEP]])
        sums[_WINDOW:] -= sums[:-_WINDOW].copy()
        mixed = (sums * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - USUAL_BITS)
        wanted.append(np.flatnonzero(mixed[lead:] == 0) + begin + 1)
    found: list[int] = []
    last = 0
    for end in np.concatenate(wanted).tolist() if wanted else []:
        while end - last > MOST:
            last += MOST
            found.append(last)
        if end - last >= LEAST:
            found.append(end)
            last = end
    while len(raw) - last > MOST:
        last += MOST
        found.append(last)
    if last < len(raw):
        found.append(len(raw))
    return found


def cut(data: bytes) -> list[bytes]:
    """The chunks of a snapshot."""
    places = ends(data)
    return [data[begin:end] for begin, end in zip([0, *places], places, strict=False)]


def name_of(chunk: bytes) -> bytes:
    """What a chunk is called: by its content."""
    return blake2b(chunk, digest_size=16).digest()


class Ledger:
    """Writes the snapshots of one shard.

    Every list of records has to be written in its order, and to have arrived before `done`.

    Args:
        shard: its name, such as `credential/3`.
        foreign: keys of other writers that were there when this one took over.
    """

    def __init__(self, shard: str, foreign: list[bytes] | None = None) -> None:
        self.shard = shard
        self.epoch = secrets.token_hex(8)
        self.foreign = foreign or []
        self._serial = 0
        self._manifests: list[tuple[bytes, list[bytes]]] = []
        self.written: set[bytes] = set()  # hashes of chunks that are in the topic

    def _key(self, kind: str, name: str) -> bytes:
        return f"{self.shard}/{self.epoch}/{kind}/{name}".encode()

    def dirty(self, chunks: list[tuple[bytes, bytes | None]], seen: int, size: int) -> list[Record]:
        """What to write for a snapshot.

        Args:
            chunks: hash and compressed bytes of each, in order; None where `written` has it.
            seen: offset of the lane's topic that the snapshot includes.
            size: of the snapshot.
        """
        records: list[Record] = []
        names: list[bytes] = []
        for name, packed in chunks:
            names.append(name)
            if name not in self.written and packed is not None:
                records.append((self._key("c", name.hex()), packed))
                self.written.add(name)
        self._serial += 1
        key = self._key("m", f"{self._serial:012d}")
        records.append((key, msgspec.msgpack.encode(Manifest(FORM, seen, names, size))))
        self._manifests.append((key, names))
        return records

    def done(self) -> list[Record]:
        """What may go now that the newest manifest has arrived."""
        gone: list[Record] = []
        if len(self._manifests) >= KEPT and self.foreign:
            gone += [(key, None) for key in self.foreign]
            self.foreign = []
        while len(self._manifests) > KEPT:
            gone.append((self._manifests.pop(0)[0], None))
        needed = {name for _, names in self._manifests for name in names}
        for name in sorted(self.written - needed):
            gone.append((self._key("c", name.hex()), None))
            self.written.discard(name)
        return gone


@dataclass(frozen=True, slots=True)
class Restored:
    """The best snapshot that was found."""

    seen: int
    data: bytes


class Recovery:
    """Reads back what writers left for one shard; feed it every record of the topic in order."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[str, str], bytes] = {}
        self._manifests: dict[bytes, tuple[str, Manifest]] = {}
        self.keys: dict[bytes, None] = {}

    def feed(self, key: bytes, value: bytes | None) -> None:
        """One record."""
        try:
            _, _, epoch, kind, name = key.decode().split("/")
        except ValueError:
            return
        if value is None:
            self.keys.pop(key, None)
            self._chunks.pop((epoch, name), None) if kind == "c" else self._manifests.pop(key, None)
            return
        self.keys[key] = None
        if kind == "c":
            self._chunks[epoch, name] = value
        else:
            try:
                manifest = msgspec.msgpack.decode(value, type=Manifest)
            except msgspec.DecodeError:
                return
            if manifest.form == FORM:
                self._manifests[key] = (epoch, manifest)

    def candidates(self) -> list[Restored]:
        """Complete snapshots, the one that read furthest first."""
        found = []
        order = sorted(self._manifests.values(), key=lambda one: one[1].seen, reverse=True)
        for epoch, manifest in order:
            data = self._joined(epoch, manifest)
            if data is not None:
                found.append(Restored(manifest.seen, data))
                if len(found) == KEPT:
                    break
        return found

    def _joined(self, epoch: str, manifest: Manifest) -> bytes | None:
        parts = []
        inflater = zstandard.ZstdDecompressor()
        for name in manifest.chunks:
            packed = self._chunks.get((epoch, name.hex()))
            if packed is None:
                return None
            try:
                part = inflater.decompress(packed, max_output_size=MOST)
            except zstandard.ZstdError:
                return None
            if name_of(part) != name:
                return None
            parts.append(part)
        data = b"".join(parts)
        return data if len(data) == manifest.size else None


def packed(data: bytes, written: set[bytes]) -> list[tuple[bytes, bytes | None]]:
    """The chunks of a snapshot as `Ledger.dirty` wants them."""
    press = zstandard.ZstdCompressor(level=1)
    chunks = [(name_of(chunk), chunk) for chunk in cut(data)]
    return [(name, None if name in written else press.compress(chunk)) for name, chunk in chunks]
