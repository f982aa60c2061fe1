"""What a call probably cost: public list prices by model, for sources that report no cost.

An estimate never replaces a reported cost, and a reported zero stays zero. List prices ignore
discounts, tiers and batch rates, so `cost.source` says `price_table@` and the day of the price.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MILLION = 1_000_000
MAX_USD_PER_MILLION = 1e5


class Price(BaseModel):
    """USD per million tokens of every model whose name begins with `model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, max_length=256)
    input: float = Field(ge=0, le=MAX_USD_PER_MILLION)
    output: float = Field(ge=0, le=MAX_USD_PER_MILLION)
    cache_read: float | None = Field(None, ge=0, le=MAX_USD_PER_MILLION)
    cache_creation: float | None = Field(None, ge=0, le=MAX_USD_PER_MILLION)
    date: date
    source: str = Field(max_length=256)


class InvalidPrices(ValueError):
    """A price file cannot be used; the message names the file and the entry."""


class PriceTable:
    """Finds the price of a model by the longest known beginning of its name.

    `openai/gpt-4o-2024-08-06` is found under `gpt-4o`; `gpt-45` is not found under `gpt-4`, for a
    beginning ends where a word ends.
    """

    def __init__(self, prices: Iterable[Price]) -> None:
        self._prices = {price.model.lower(): price for price in prices}

    def __len__(self) -> int:
        return len(self._prices)

    def __iter__(self) -> Iterator[Price]:
        return iter(self._prices.values())

    def price(self, model: str) -> Price | None:
        """The price of `model`, or None if the table does not know it."""
        name = model.lower()
        for candidate in (name, _bare(name)):
            for end in range(len(candidate), 0, -1):
                at_a_word_end = end == len(candidate) or candidate[end] in "-:@_/"
                if at_a_word_end and (found := self._prices.get(candidate[:end])):
                    return found
        return None

    def estimate(self, event: Mapping[str, Any]) -> tuple[float, str] | None:
        """Dollars and `cost.source` of an event that has no cost of its own.

        Args:
            event: wire keys and values.
        Returns:
            None if the event has a cost, no model we know, or no token counts.
        """
        if event.get("cost.usd") is not None:
            return None
        tokens_in = event.get("gen_ai.usage.input_tokens")
        tokens_out = event.get("gen_ai.usage.output_tokens")
        if tokens_in is None and tokens_out is None:
            return None
        for field in ("gen_ai.response.model", "gen_ai.request.model"):
            if (model := event.get(field)) and (price := self.price(model)):
                break
        else:
            return None
        read = min(event.get("gen_ai.usage.cache_read.input_tokens") or 0, tokens_in or 0)
        made = event.get("gen_ai.usage.cache_creation.input_tokens") or 0
        made = min(made, (tokens_in or 0) - read)
        usd = (
            ((tokens_in or 0) - read - made) * price.input
            + read * (price.input if price.cache_read is None else price.cache_read)
            + made * (price.input if price.cache_creation is None else price.cache_creation)
            + (tokens_out or 0) * price.output
        ) / MILLION
        return round(usd, 9), f"price_table@{price.date.isoformat()}"

    def overridden(self, path: Path) -> "PriceTable":
        """This table with the operator's entries (JSON or TOML, key `prices`) on top.

        Raises:
            InvalidPrices: the file is not what it should be; says where.
            OSError: it cannot be read.
        """
        return PriceTable([*self._prices.values(), *_read(path.read_bytes(), path.name)])


@cache
def list_prices() -> PriceTable:
    """The table that comes with this version."""
    return PriceTable(_read(files("schemas").joinpath("prices.json").read_bytes(), "prices.json"))


def _bare(model: str) -> str:
    """The model's own name: `us.anthropic.claude-x` and `openai/gpt-4o` without what stands before.

    >>> _bare("us.anthropic.claude-3-haiku-20240307-v1:0"), _bare("azure/eu/gpt-4o")
    ('claude-3-haiku-20240307-v1:0', 'gpt-4o')
    """
    name = model.rsplit("/", 1)[-1]
    for vendor in ("anthropic.", "mistral.", "meta.", "cohere.", "amazon."):
        name = name.rpartition(vendor)[2]
    return name


def _read(data: bytes, name: str) -> list[Price]:
    try:
        text = data.decode()
        content = tomllib.loads(text) if name.endswith(".toml") else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPrices(f"{name}: {error}") from None
    entries = content.get("prices") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InvalidPrices(f"{name}: needs a list named `prices`")
    prices = []
    for number, entry in enumerate(entries, 1):
        try:
            prices.append(Price.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise InvalidPrices(f"{name}: entry {number}: {field}: {first['msg']}") from None
    return prices
