"""A block of events as columns: what features add up, and the masks that select for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from detectors.base import NANO
from schemas.decode import Millis, Records
from streams.masks import MASKS

MAX_MEMO = 200_000  # remembered fingerprints of strings; a pure cache

OK, DENIED, LIMITED, OTHER = 1, 2, 4, 8
_BY_ERROR = {
    None: 0,
    "rate_limit": LIMITED,
    "auth": DENIED,
    "permission": DENIED,
    "not_found": DENIED,
    "invalid_request": DENIED,
}
_BY_CODE = np.zeros(1000, np.int64)
_BY_CODE[200:300] = OK
_BY_CODE[[400, 401, 403, 404]] = DENIED
_BY_CODE[429] = LIMITED
_BY_STATUS = {None: 0, "ok": OK, "error": 8, "blocked": DENIED}
_NAMES = {"llm.request": 1, "llm.auth_failure": 2, "agent.tool_call": 4}
_TRUSTED = dict.fromkeys((None, "xff_unverified", "masked", "service_name"), 0)
_TRUSTED |= {"peer": 1, "xff_trusted": 1}  # qualities of an address that the client cannot choose


class Fingerprints(dict[str | None, int]):
    """64-bit fingerprints of strings, for comparing and nothing else. None is 0."""

    def __missing__(self, text: str | None) -> int:
        value = 0 if text is None else _fingerprint(text)
        if len(self) >= MAX_MEMO:
            self.clear()
        self[text] = value
        return value


HMAC = "hmac:"
_WIDTH = len(HMAC) + 16
_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[list(b"0123456789abcdef")] = range(16)


UUID_WIDTH = 36
_UUID_DASHES = [8, 13, 18, 23]
_UUID_DIGITS = [at for at in range(UUID_WIDTH) if at not in _UUID_DASHES]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def _fingerprint(text: str) -> int:
    if len(text) == _WIDTH and text.startswith(HMAC):
        numbers = _read_hmac([text])
        if numbers is not None:
            return int(numbers[0])
    return xxhash.xxh3_64_intdigest(text.encode(errors="surrogatepass")) | 1


def _read_hmac(texts: list[str]) -> npt.NDArray[np.uint64] | None:
    """The 64 bits of `hmac:` and 16 hexadecimal digits, or None if one has another form."""
    joined = "".join(texts)
    if len(joined) != _WIDTH * len(texts) or not joined.isascii():
        return None
    raw = np.frombuffer(joined.encode(), np.uint8).reshape(-1, _WIDTH)
    digits = _NIBBLE[raw[:, len(HMAC) :]]
    if (digits > 15).any() or (raw[:, : len(HMAC)] != list(HMAC.encode())).any():
        return None
    packed = (digits[:, 0::2] << 4) | digits[:, 1::2]
    numbers = np.ascontiguousarray(packed).view(">u8").ravel().astype(np.uint64)
    return np.maximum(numbers, np.uint64(1))  # 0 means unknown


def _read_uuid(texts: list[str]) -> npt.NDArray[np.uint64] | None:
    """64 bits of UUIDs in lower case, or None if one has another form."""
    joined = "".join(texts)
    if len(joined) != UUID_WIDTH * len(texts) or not joined.isascii():
        return None
    raw = np.frombuffer(joined.encode(), np.uint8).reshape(-1, UUID_WIDTH)
    digits = _NIBBLE[raw[:, _UUID_DIGITS]]
    if (digits > 15).any() or (raw[:, _UUID_DASHES] != ord("-")).any():
        return None
    packed = (digits[:, 0::2] << 4) | digits[:, 1::2]
    halves = np.ascontiguousarray(packed).view(np.uint64)
    return np.asarray((halves[:, 0] * _ODD ^ halves[:, 1]) | np.uint64(1))


class Columns:
    """Columns of a block of events; each is made when it is first asked for, then kept.

    Args:
        records: the events.
        times: their event times in ms.
        fingerprints: the cache to use.
    """

    def __init__(self, records: Records, times: Millis, fingerprints: Fingerprints) -> None:
        self.records = records
        self.times = times
        self._fingerprints = fingerprints
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made.get(name)
        if made is None:
            make = _MAKERS.get(name)
            made = self._made[name] = make(self) if make else getattr(self, "_" + name)()
        return made

    def any(self, name: str) -> bool:
        """Whether a mask selects anything at all."""
        key = "any " + name
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = bool(self[name].any())
        return bool(made)

    def fill(self, name: str, rows: Any, values: Any) -> None:
        """Sets some rows of a column that is made outside; the others are 0."""
        column = self._made.get(name)
        if column is None:
            column = self._made[name] = np.zeros(len(self.records), values.dtype)
        column[rows] = values
        self._made.pop("any " + name, None)

    def numbers(self, attribute: str) -> Any:
        """A numeric attribute as int64; unknown is 0."""
        return np.array(self.values(attribute), np.int64)

    def values(self, attribute: str) -> list[Any]:
        """An attribute of every event."""
        name = "values of " + attribute
        made: list[Any] | None = self._made.get(name)
        if made is None:
            made = self._made[name] = _READ[attribute](self.records)
        return made

    def hashes(self, attribute: str) -> Any:
        """Fingerprints of a text attribute as uint64; unknown is 0.

        Texts that are `hmac:` fingerprints already are read as numbers, a block at a time.
        """
        values = self.values(attribute)
        known = values if None not in values else [value for value in values if value is not None]
        if known and known[0].startswith(HMAC) and (numbers := _read_hmac(known)) is not None:
            if known is values:
                return numbers
            column = np.zeros(len(values), np.uint64)
            column[[value is not None for value in values]] = numbers
            return column
        found = map(self._fingerprints.__getitem__, self.values(attribute))
        return np.fromiter(found, np.uint64, len(self.records))

    def ids(self) -> Any:
        """Fingerprints of `event.id`; UUIDs are read a block at a time. Not remembered."""
        texts = self.values("event_id")
        found = _read_uuid(texts)
        if found is None:
            found = np.array([_id(text) for text in texts], np.uint64)
        return found

    def _coded(self, attribute: str, codes: dict[Any, int]) -> Any:
        """A text attribute of few values as int64."""
        return np.array([codes.get(value, OTHER) for value in self.values(attribute)], np.int64)

    def _one(self) -> Any:
        return np.ones(len(self.records), np.int64)

    def _tokens(self) -> Any:
        return self.numbers("input_tokens") + self.numbers("output_tokens")

    def _nanousd(self) -> Any:
        return np.rint(np.array(self.values("cost_usd"), np.float64) * NANO).astype(np.int64)

    def _name(self) -> Any:
        return self._coded("event_name", _NAMES)

    def _outcome(self) -> Any:
        bits = _BY_CODE[self.numbers("http_status")] | self._coded("error_type", _BY_ERROR)
        unknown = np.flatnonzero(bits == 0)
        for at in unknown.tolist():
            bits[at] = _BY_STATUS[self.records[at].status]
        bits[(self["name"] & 2) > 0] |= DENIED
        return bits

    def _trusted(self) -> Any:
        return self._coded("client_address_quality", _TRUSTED) > 0


def _id(text: str) -> int:
    found = _read_uuid([text]) if len(text) == UUID_WIDTH else None
    return _fingerprint(text) if found is None else int(found[0])


# one loop each, because reading a named attribute is what a loop does fastest
_READ: dict[str, Callable[[Records], list[Any]]] = {
    "api_key_id": lambda records: [r.api_key_id for r in records],
    "call_ids": lambda records: [r.call_ids for r in records],
    "client_address": lambda records: [r.client_address for r in records],
    "client_address_quality": lambda records: [r.client_address_quality for r in records],
    "content_input_hash": lambda records: [r.content_input_hash for r in records],
    "cost_usd": lambda records: [r.cost_usd or 0.0 for r in records],
    "error_type": lambda records: [r.error_type for r in records],
    "event_id": lambda records: [r.event_id for r in records],
    "event_name": lambda records: [r.event_name for r in records],
    "http_status": lambda records: [r.http_status or 0 for r in records],
    "ingest_source": lambda records: [r.ingest_source for r in records],
    "input_tokens": lambda records: [r.input_tokens or 0 for r in records],
    "output_tokens": lambda records: [r.output_tokens or 0 for r in records],
    "request_model": lambda records: [r.request_model for r in records],
    "resource_id": lambda records: [r.resource_id for r in records],
    "tenant_id": lambda records: [r.tenant_id for r in records],
    "user_agent": lambda records: [r.user_agent for r in records],
}

_MAKERS: dict[str, Callable[[Columns], npt.NDArray[Any]]] = {
    "model": lambda c: c.hashes("request_model"),
    "address": lambda c: c.hashes("client_address"),
    "client": lambda c: c.hashes("user_agent"),
    "id": lambda c: c.ids(),
    "prompt": lambda c: c.hashes("content_input_hash"),
    "denied": lambda c: (c["outcome"] & DENIED) > 0,
    "rate_limited": lambda c: (c["outcome"] & LIMITED) > 0,
    "answered": lambda c: (c["outcome"] & (DENIED | LIMITED)) == 0,
    "source": lambda c: c.hashes("ingest_source"),
    "linked": lambda c: np.array([bool(r.call_ids) for r in c.records], np.bool_),
    "in_session": lambda c: np.array(
        [(r.conversation_id or r.session_id) is not None for r in c.records], np.bool_
    ),
    "tool_call": lambda c: c["name"] == 4,
    "failed_tool_call": lambda c: (
        c["tool_call"] & np.array([r.status == "error" for r in c.records], np.bool_)
    ),
    "limited_unnamed": lambda c: c["rate_limited"] & (c["prompt"] == 0),
    "resource_call": lambda c: (
        c["tool_call"]
        & np.array([value is not None for value in c.values("resource_id")], np.bool_)
    ),
    "acting_call": lambda c: (
        c["tool_call"] & np.array([bool(r.tool_side_effect) for r in c.records], np.bool_)
    ),
    "model_call": lambda c: ((c["name"] & 3) > 0) & c["keyed"],
    "key": lambda c: c.hashes("api_key_id"),
    "keyed": lambda c: c["key"] > 0,
    "refused_at_origin": lambda c: (
        c["denied"] & ((c["name"] & 3) > 0) & (c["address"] > 0) & c["trusted"]
    ),
}

_MAKERS |= MASKS

ITEMS: dict[str, str] = {
    "model": "request_model",
    "key": "api_key_id",
    "tenant": "tenant_id",
    "address": "client_address",
}
"""What `Distinct` features count: item -> attribute of an event."""
