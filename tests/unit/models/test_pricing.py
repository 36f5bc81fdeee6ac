"""Money: exact integers, upper bounds that bound, and what becomes of an upstream's claims."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.apis.model import LongContextPrices, ModelPrices
from aspora.models.interface import CostSource, TokenUsage
from aspora.models.pricing import (
    PREAMBLE_TOKENS,
    bound_input_tokens,
    cost_of_answer,
    hold_micro_usd,
    price_usage,
    read_upstream_cost,
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
        (Decimal("0.000123"), 123),
        (Decimal("0.0000001"), 1),
        (0, 0),
        (2, 2_000_000),
        (Decimal("0.1234564"), 123_457),
        (1_000_000, 10**12),
    ],
)
def test_reads_an_upstream_cost_exactly(cost: Any, micro_usd: int) -> None:
    assert read_upstream_cost({"cost": cost}) == (micro_usd, ())


@pytest.mark.parametrize(
    "cost", [Decimal("NaN"), Decimal("Infinity"), -1, Decimal("-0.1"), True, "0.1", [], Decimal("1e400"), 10**30]
)
def test_refuses_a_cost_that_is_none(cost: Any) -> None:
    assert read_upstream_cost({"cost": cost}) == (None, ("CostInvalid",))


def booked(**changes: Any) -> Any:
    usage = TokenUsage(input_tokens=1000, output_tokens=500)
    bound = TokenUsage(input_tokens=2000, output_tokens=4096)
    given_: dict[str, Any] = {
        "raw_usage": {}, "usage": usage, "prices": SONNET, "counted_bound": bound, "hold": 70_000,
    }  # fmt: skip
    return cost_of_answer(**{**given_, **changes})


def test_the_upstream_s_word_comes_first_and_both_are_kept() -> None:
    cost = booked(raw_usage={"cost": Decimal("0.02")})
    assert (cost.micro_usd, cost.source, cost.priced_micro_usd, cost.flags) == (20_000, CostSource.UPSTREAM, 10_500, ())


def test_prices_stand_in_and_it_is_flagged() -> None:
    missing, invalid = booked(), booked(raw_usage={"cost": Decimal("NaN")})
    assert (missing.micro_usd, missing.source, missing.flags) == (10_500, CostSource.PRICES, ("CostMissing",))
    assert (invalid.micro_usd, invalid.source, invalid.flags) == (10_500, CostSource.PRICES, ("CostInvalid",))


def test_without_usage_the_bound_is_booked() -> None:
    cost = booked(raw_usage=None, usage=None)
    assert (cost.micro_usd, cost.source) == (6000 + 61_440, CostSource.BOUND)
    assert cost.flags == ("CostMissing", "UsageMissing")


def test_a_cost_above_its_hold_is_booked_and_flagged() -> None:
    cost = booked(raw_usage={"cost": 1_000_000})
    assert (cost.micro_usd, cost.flags) == (10**12, ("Overrun",))


def test_nothing_known_is_unknown_not_zero() -> None:
    cost = booked(prices=None, hold=None)
    assert (cost.micro_usd, cost.source) == (None, CostSource.UNKNOWN)
    assert "Unpriced" in cost.flags
