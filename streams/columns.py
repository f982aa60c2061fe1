"""A block of events as columns: what features add up, and the masks that select for them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.reader import TIMESTAMP, Lines, Values, columns_of
from schemas.shape import FIELDS, words_of
from streams.masks import MASKS
from streams.pairs import pair

FAILED = words_of("status").index("error") + 1
TRUE = 2  # of a flag; 1 is false, 0 is unknown
OK, DENIED, LIMITED, OTHER = 1, 2, 4, 8
_BY_CODE = np.zeros(1000, np.int64)
_BY_CODE[200:300] = OK
_BY_CODE[[400, 401, 403, 404]] = DENIED
_BY_CODE[429] = LIMITED


def _coded(attribute: str, codes: dict[Any, int], other: int = 0) -> npt.NDArray[np.int64]:
    """A code for each word of an attribute, as a table; unknown is 0."""
    return np.array([0, *(codes.get(word, other) for word in words_of(attribute))], np.int64)


_BY_ERROR = _coded(
    "error_type",
    {
        "rate_limit": LIMITED,
        "auth": DENIED,
        "permission": DENIED,
        "not_found": DENIED,
        "invalid_request": DENIED,
    },
    OTHER,
)
_BY_STATUS = _coded("status", {"ok": OK, "error": 8, "blocked": DENIED})
_NAMES = _coded(
    "event_name", {"llm.request": 1, "llm.auth_failure": 2, "agent.tool_call": 4}, OTHER
)
# qualities of an address that the client cannot choose
_TRUSTED = _coded("client_address_quality", {"peer": 1, "xff_trusted": 1}) > 0


class Columns:
    """Columns of a block of events; each is made when it is first asked for, then kept.

    Args:
        records: the events.
        values: a row per field, as `schemas.reader.Reader` gives them.
    """

    def __init__(self, records: Sequence[Any], values: Values) -> None:
        self.records = records
        self.times = values[TIMESTAMP]
        self._values = values
        self._made: dict[str, Any] = {}

    @classmethod
    def of(cls, records: Sequence[Any], times: Values) -> "Columns":
        """Columns of events that are decoded already, with their event times in ms."""
        return cls(records, columns_of(records, times))

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
            made = self._made[key] = bool(np.count_nonzero(self[name]))
        return bool(made)

    def fill(self, name: str, rows: Any, values: Any) -> None:
        """Sets some rows of a column that is made outside; the others are 0."""
        column = self._made.get(name)
        if column is None:
            column = self._made[name] = np.zeros(len(self.records), values.dtype)
        column[rows] = values
        self._made.pop("any " + name, None)

    def numbers(self, attribute: str) -> Any:
        """A numeric attribute as int64; unknown is 0. Words count from 1, members of lists too."""
        return self._values[FIELDS[attribute]]

    def hashes(self, attribute: str) -> Any:
        """Fingerprints of a text attribute as uint64; unknown is 0."""
        return self._values[FIELDS[attribute]].view(np.uint64)

    def text(self, attribute: str, row: int) -> Any:
        """A text attribute of one event, or None."""
        return getattr(self.records[row], attribute)

    def cut(self, attribute: str, rows: Any, width: int) -> npt.NDArray[np.uint8]:
        """As `schemas.reader.Lines.cut`; all zeros where events are objects already."""
        records = self.records
        if isinstance(records, Lines):
            return records.cut(attribute, rows, width)
        return np.zeros((len(rows), width), np.uint8)

    def take(self, rows: list[int]) -> list[Any]:
        """Several of the events."""
        records = self.records
        return records.take(rows) if isinstance(records, Lines) else [records[r] for r in rows]

    def _one(self) -> Any:
        return np.ones(len(self.records), np.int64)

    def _tokens(self) -> Any:
        return self.numbers("input_tokens") + self.numbers("output_tokens")

    def _nanousd(self) -> Any:
        return self.numbers("cost_usd")

    def _name(self) -> Any:
        return _NAMES[self.numbers("event_name")]

    def _outcome(self) -> Any:
        bits = _BY_CODE[self.numbers("http_status")] | _BY_ERROR[self.numbers("error_type")]
        bits = np.where(bits == 0, _BY_STATUS[self.numbers("status")], bits)
        bits[(self["name"] & 2) > 0] |= DENIED
        return bits

    def _trusted(self) -> Any:
        return _TRUSTED[self.numbers("client_address_quality")]

    def _session(self) -> Any:
        conversation = self.hashes("conversation_id")
        return np.where(conversation, conversation, self.hashes("session_id"))

    def _actor(self) -> Any:
        tenant, user = self.hashes("tenant_id"), self.hashes("user_id")
        return pair(pair(tenant, user, 1), self["key"], 2)


_MAKERS: dict[str, Callable[[Columns], npt.NDArray[Any]]] = {
    "model": lambda c: c.hashes("request_model"),
    "address": lambda c: c.hashes("client_address"),
    "client": lambda c: c.hashes("user_agent"),
    "id": lambda c: c.hashes("event_id"),
    "prompt": lambda c: c.hashes("content_input_hash"),
    "denied": lambda c: (c["outcome"] & DENIED) > 0,
    "rate_limited": lambda c: (c["outcome"] & LIMITED) > 0,
    "answered": lambda c: (c["outcome"] & (DENIED | LIMITED)) == 0,
    "source": lambda c: c.hashes("ingest_source"),
    "in_session": lambda c: c["session"] > 0,
    "linked": lambda c: c.numbers("call_ids") > 0,
    "tool_call": lambda c: c["name"] == 4,
    "failed_tool_call": lambda c: c["tool_call"] & (c.numbers("status") == FAILED),
    "limited_unnamed": lambda c: c["rate_limited"] & (c["prompt"] == 0),
    "resource_call": lambda c: c["tool_call"] & (c.numbers("resource_id") != 0),
    "acting_call": lambda c: c["tool_call"] & (c.numbers("tool_side_effect") == TRUE),
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
