"""Money: exact integers, upper bounds that bound, and what becomes of an upstream's claims."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.apis.model import LongContextPrices, ModelPrices
from aspora.models.interface import TokenUsage
from aspora.models.pricing import (
    PREAMBLE_TOKENS,
    bound_input_tokens,
    hold_micro_usd,
    price_usage,
    upstream_micro_usd,
)

SONNET = ModelPrices(
    input_micro_usd_per_million_tokens=3_000_000,
    output_micro_usd_per_million_tokens=15_000_000,
    cached_input_micro_usd_per_million_tokens=300_000,
    cache_write_micro_usd_per_million_tokens=3_750_000,
    long_context=LongContextPrices(
        above_input_tokens=200_000,
        input_micro_usd_per_million_tokens=6_000_000,
        output_micro_usd_per_million_tokens=22_500_000,
    ),
)

price = st.integers(0, 10**9)
maybe_price = st.none() | price
token_prices = st.fixed_dictionaries(
    {
        "input_micro_usd_per_million_tokens": price,
        "output_micro_usd_per_million_tokens": price,
        "cached_input_micro_usd_per_million_tokens": maybe_price,
        "cache_write_micro_usd_per_million_tokens": maybe_price,
        "reasoning_micro_usd_per_million_tokens": maybe_price,
    }
)


@st.composite
def model_prices(draw: st.DrawFn) -> ModelPrices:
    long = draw(
        st.none()
        | st.builds(lambda p, n: LongContextPrices(above_input_tokens=n, **p), token_prices, st.integers(1, 500))
    )
    return ModelPrices(long_context=long, **draw(token_prices))


@st.composite
def usages(draw: st.DrawFn) -> TokenUsage:
    input_tokens, output_tokens = draw(st.integers(0, 1000)), draw(st.integers(0, 1000))
    cached = draw(st.integers(0, input_tokens))
    return TokenUsage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=draw(st.integers(0, input_tokens - cached)),
        reasoning_tokens=draw(st.integers(0, output_tokens)),
    )


def test_a_plain_call_costs_tokens_times_price() -> None:
    assert price_usage(SONNET, TokenUsage(input_tokens=1000, output_tokens=500)) == 3000 + 7500


def test_cached_written_and_reasoning_tokens_have_their_own_prices() -> None:
    usage = TokenUsage(
        input_tokens=1000, cached_input_tokens=600, cache_write_tokens=100, output_tokens=10, reasoning_tokens=10
    )
    assert price_usage(SONNET, usage) == 900 + 180 + 375 + 150


def test_a_long_prompt_changes_the_price_of_the_whole_call() -> None:
    at, above = (TokenUsage(input_tokens=n, output_tokens=1000) for n in (200_000, 200_001))
    assert price_usage(SONNET, at) == 600_000 + 15_000
    assert price_usage(SONNET, above) == 1_200_006 + 22_500


def test_a_fraction_of_a_micro_dollar_is_rounded_up() -> None:
    cheap = ModelPrices(input_micro_usd_per_million_tokens=1, output_micro_usd_per_million_tokens=1)
    assert price_usage(cheap, TokenUsage(input_tokens=1)) == 1
    assert price_usage(cheap, TokenUsage()) == 0


@given(prices=model_prices(), usage=usages())
def test_prices_equal_exact_fractions_rounded_up(prices: ModelPrices, usage: TokenUsage) -> None:
    long = prices.long_context
    p = long if long is not None and usage.input_tokens > long.above_input_tokens else prices

    def at(own: int | None, otherwise: int) -> Fraction:
        return Fraction(otherwise if own is None else own, 10**6)

    plain_in = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    exact = (
        plain_in * at(None, p.input_micro_usd_per_million_tokens)
        + usage.cached_input_tokens
        * at(p.cached_input_micro_usd_per_million_tokens, p.input_micro_usd_per_million_tokens)
        + usage.cache_write_tokens
        * at(p.cache_write_micro_usd_per_million_tokens, p.input_micro_usd_per_million_tokens)
        + (usage.output_tokens - usage.reasoning_tokens) * at(None, p.output_micro_usd_per_million_tokens)
        + usage.reasoning_tokens * at(p.reasoning_micro_usd_per_million_tokens, p.output_micro_usd_per_million_tokens)
    )
    assert 0 <= price_usage(prices, usage) - exact < 1


@given(prices=model_prices(), usage=usages(), more_in=st.integers(0, 600), more_out=st.integers(0, 500))
def test_a_hold_is_never_below_the_price(prices: ModelPrices, usage: TokenUsage, more_in: int, more_out: int) -> None:
    hold = hold_micro_usd(
        prices, input_tokens=usage.input_tokens + more_in, output_tokens=usage.output_tokens + more_out
    )
    assert hold >= price_usage(prices, usage)


def test_every_byte_may_be_a_token() -> None:
    assert bound_input_tokens("é".encode() * 10) == 20 + PREAMBLE_TOKENS


@pytest.mark.parametrize(
    ("cost", "micro_usd"),
    [
        (Decimal("0.000123"), Decimal(123)),
        (Decimal("0.0000001"), Decimal("0.1")),
        (0, Decimal(0)),
        (2, Decimal(2_000_000)),
        (1_000_000, Decimal(10) ** 12),
        (-1, Decimal(-1_000_000)),
        (None, None),
    ],
)
def test_reads_an_upstream_cost_exactly(cost: Any, micro_usd: Decimal | None) -> None:
    assert upstream_micro_usd(cost) == micro_usd


@pytest.mark.parametrize("cost", [Decimal("NaN"), True, "0.1", []])
def test_what_is_no_number_is_no_cost(cost: Any) -> None:
    read = upstream_micro_usd(cost)
    assert read is not None
    assert read.is_nan()


@pytest.mark.parametrize("cost", [Decimal("1e400"), Decimal("1e999999"), 10**300, Decimal("Infinity")])
def test_a_cost_beyond_all_reason_is_read_all_the_same(cost: Any) -> None:
    read = upstream_micro_usd(cost)
    assert read is not None
    assert read > 10**24
