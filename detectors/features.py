"""Every observable that detectors may watch: declared once, computed for all keys at once.

A feature is a total of one key over one window. Totals are integers (money in nano-dollars) and
only ever grow inside a window, so neither the order of events nor the edges of blocks show.
Columns and masks named here are computed in `streams.columns`.
"""

from dataclasses import dataclass, field

from detectors.records import Recorded
from schemas.finding import Lane

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
MODEST_TOKENS = 100_000  # in a window; below this no volume is worth waking anyone
MODEST_NANOUSD = 1_000_000_000
TINY_TOKENS = 64  # input and output of a call that only tries whether a key works
CACHEABLE_TOKENS = 1024  # least input that providers cache
LONG_ANSWER_TOKENS = 64  # an answer that two tenants do not get by chance
SHORT_ANSWER_TOKENS = 16  # the answer to a question that only tries whether all is well
WORD_TOKENS = 5  # the answer of which only the time to its first word matters


@dataclass(frozen=True)
class Feature:
    """A total of one key over one window.

    Attributes:
        name: how detectors refer to it.
        unit: of the total.
        means: in words for people.
        of: what is added up or counted.
        where: mask of the events that count; all of the window's when empty.
    """

    name: str
    unit: str
    means: str
    of: str
    where: str = ""


class Total(Feature):
    """Adds up the column `of` over the selected events."""


class Distinct(Feature):
    """Counts the different values of the item `of` among the selected events."""


class Repeats(Feature):
    """How often the most repeated value of the item `of` came again among the selected events."""


@dataclass(frozen=True)
class WindowSpec:
    """Windows of one width over one lane, and the features counted in them.

    Attributes:
        name: how channels refer to it.
        lane: whose key remembers.
        select: mask of the events that enter.
        width_ms: length of a window; a key's boundaries are shifted by its hash.
        learned: features whose usual size is learned when windows close.
        modest: for each of them a total that is no reason to wake anyone; what is usual may rise
            to it at once.
        counted: features that are rare counts; their long-run rate is learned.
        recorded: features whose highest window is remembered.
    """

    name: str
    lane: Lane
    select: str
    width_ms: int
    features: tuple[Feature, ...]
    learned: tuple[str, ...] = ()
    modest: tuple[int, ...] = ()
    counted: tuple[str, ...] = ()
    recorded: tuple[Recorded, ...] = ()
    index: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.index.update({feature.name: i for i, feature in enumerate(self.features)})


CREDENTIAL_5M = WindowSpec(
    name="credential/5m",
    lane="credential",
    select="model_call",
    width_ms=5 * MINUTE_MS,
    features=(
        Total("calls", "calls", "model calls", "one"),
        Total("tokens", "tokens", "input and output tokens", "tokens"),
        Total("nanousd", "nano-dollars", "estimated cost", "nanousd"),
        Total("denied", "calls", "calls refused as not permitted or not valid", "one", "denied"),
        Total(
            "limited_unnamed",
            "calls",
            "429s without a prompt's fingerprint",
            "one",
            "limited_unnamed",
        ),
        Total("rate_limited", "calls", "calls answered 429", "one", "rate_limited"),
        Total("stranger_tokens", "tokens", "tokens used from new addresses", "tokens", "stranger"),
        Distinct("denied_models", "models", "different models refused", "model", "denied"),
        Repeats("repeats", "calls", "times that one prompt came again", "prompt", "answered"),
        Repeats("limited_repeats", "calls", "further 429s of one prompt", "prompt", "rate_limited"),
    ),
    learned=("tokens", "nanousd"),
    modest=(MODEST_TOKENS, MODEST_NANOUSD),
)

CREDENTIAL_1H = WindowSpec(
    name="credential/1h",
    lane="credential",
    select="model_call",
    width_ms=HOUR_MS,
    features=(
        Total("calls", "calls", "model calls", "one"),
        Total("tokens", "tokens", "input and output tokens", "tokens"),
        Total("nanousd", "nano-dollars", "estimated cost", "nanousd"),
        Total("new_models", "models", "models this key never used before", "one", "fresh_model"),
        Total("new_addresses", "addresses", "addresses never seen before", "one", "fresh_address"),
        Total("strangers", "calls", "new address with new model or new client", "one", "odd"),
        Total("stranger_tokens", "tokens", "tokens used from new addresses", "tokens", "stranger"),
        Total("wasted_nanousd", "nano-dollars", "cost of calls that failed", "nanousd", "wasted"),
    ),
    learned=("tokens", "nanousd"),
    modest=(MODEST_TOKENS, MODEST_NANOUSD),
    counted=("new_addresses",),
)

CREDENTIAL_1D = WindowSpec(
    name="credential/1d",
    lane="credential",
    select="model_call",
    width_ms=24 * HOUR_MS,
    features=(
        Total("calls", "calls", "model calls", "one"),
        Total("tokens", "tokens", "input and output tokens", "tokens"),
        Total("nanousd", "nano-dollars", "estimated cost", "nanousd"),
        Total("active_hours", "hours", "hours in which the key was used", "one", "begins_hour"),
        Total(
            "address_hours",
            "hours",
            "hours of use, counted for each address that used the key in them",
            "one",
            "address_begins_hour",
        ),
    ),
    recorded=(
        Recorded("active_hours", slack=12.0, scale=0.12),
        Recorded("address_hours", slack=12.0, scale=0.14),
        Recorded("nanousd", slack=50_000_000.0, scale=0.3, heavy=0.5),
    ),
)

ORIGIN_10M = WindowSpec(
    name="origin/10m",
    lane="origin",
    select="refused_at_origin",
    width_ms=10 * MINUTE_MS,
    features=(
        Total("refusals", "calls", "refused calls from this address", "one"),
        Distinct("refused_keys", "keys", "different keys refused from this address", "key"),
        Distinct("refused_tenants", "tenants", "tenants they belong to", "tenant"),
    ),
)

WINDOWS: tuple[WindowSpec, ...] = (CREDENTIAL_5M, CREDENTIAL_1H, CREDENTIAL_1D, ORIGIN_10M)
