"""Costs are estimated from list prices only where the source reports none."""

from datetime import date
from pathlib import Path

import pytest

from schemas.prices import InvalidPrices, Price, PriceTable, list_prices

CALL = {
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 340,
    "gen_ai.usage.cache_read.input_tokens": 1024,
}


def test_cached_input_is_part_of_the_input_and_cheaper() -> None:
    expected = ((1200 - 1024) * 2.5 + 1024 * 1.25 + 340 * 10) / 1e6
    assert (expected, "price_table@2025-08-07") == list_prices().estimate(CALL)


def test_a_reported_cost_is_kept_even_if_it_is_zero() -> None:
    assert list_prices().estimate(CALL | {"cost.usd": 0.0}) is None


def test_unknown_models_and_unknown_usage_get_no_price() -> None:
    assert list_prices().estimate(CALL | {"gen_ai.request.model": "house-model"}) is None
    assert list_prices().estimate({"gen_ai.request.model": "gpt-4o"}) is None


def test_the_model_that_answered_decides_and_the_asked_one_stands_in() -> None:
    mini = list_prices().estimate(CALL | {"gen_ai.response.model": "gpt-4o-mini-2024-07-18"})
    alias = list_prices().estimate(CALL | {"gen_ai.response.model": "house-alias"})
    assert mini is not None and mini[0] < 0.001
    assert list_prices().estimate(CALL) == alias


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai/GPT-4o-mini", "gpt-4o-mini"),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("models/gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
    ],
)
def test_the_longest_known_beginning_of_the_name_wins(model: str, entry: str) -> None:
    price = list_prices().price(model)
    assert price is not None and entry == price.model


@pytest.mark.parametrize("model", ["gpt-45", "gpt-4.5-preview", "o33", "claude-opus-4-9", ""])
def test_a_beginning_ends_where_a_word_ends(model: str) -> None:
    assert list_prices().price(model) is None


def test_every_entry_says_when_and_where_it_was_read() -> None:
    assert all(p.date > date(2024, 1, 1) and p.source.startswith("https://") for p in list_prices())
    assert len(list_prices()) > 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.toml", '[[prices]]\nmodel="gpt-4o"\ninput=1\noutput=2\ndate=2026-01-01\nsource="us"\n'),
        (
            "p.json",
            '{"prices":[{"model":"gpt-4o","input":1,"output":2,"date":"2026-01-01",'
            '"source":"us"}]}',
        ),
    ],
)
def test_the_operators_prices_come_first(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    table = list_prices().overridden(tmp_path / name)
    assert (0.00188, "price_table@2026-01-01") == table.estimate(CALL)
    assert table.price("gpt-4o-mini") == list_prices().price("gpt-4o-mini")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "p.json"),
        ("[]", "needs a list"),
        (
            '{"prices":[{"model":"x","input":-1,"output":1,"date":"2026-01-01","source":""}]}',
            "entry 1: input",
        ),
    ],
)
def test_a_bad_price_file_names_the_entry(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InvalidPrices, match=reason):
        list_prices().overridden(tmp_path / "p.json")


def test_cache_tokens_beyond_the_input_never_make_a_cost_negative() -> None:
    table = PriceTable(
        [Price(model="m", input=1, output=1, cache_read=0.1, date=date(2026, 1, 1), source="us")]
    )
    strange = {
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 1_000_000,
        "gen_ai.usage.cache_creation.input_tokens": 1_000_000,
    }
    assert (0.000001, "price_table@2026-01-01") == table.estimate(strange)
