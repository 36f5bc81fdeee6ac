"""What a call costs and what it may cost at most, in integer micro-USD. No float touches money."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aspora.apis.model import ModelPrices, TokenPrices
from aspora.models.interface import CostSource, ModelCost, TokenUsage

TOKENS_PER_PRICE = 1_000_000
PREAMBLE_TOKENS = 1024
"""Tokens an upstream may add around messages and tools: chat templates, tool-use instructions."""
MAX_COST_USD = Decimal(1_000_000_000)
"""No call costs a billion dollars: beyond this a number is rubbish, not a cost."""


def _ceil_micro_usd(weighted_tokens: int) -> int:
    """Sum of tokens times price, rounded up to whole micro-USD."""
    return -(-weighted_tokens // TOKENS_PER_PRICE)


def _prices_at(prices: ModelPrices, input_tokens: int) -> TokenPrices:
    long = prices.long_context
    return long if long is not None and input_tokens > long.above_input_tokens else prices


def _or(price: int | None, otherwise: int) -> int:
    return otherwise if price is None else price


def price_usage(prices: ModelPrices, usage: TokenUsage) -> int:
    """The cost of a call by the Model's prices, in micro-USD, rounded up."""
    p = _prices_at(prices, usage.input_tokens)
    input_price, output_price = p.input_micro_usd_per_million_tokens, p.output_micro_usd_per_million_tokens
    plain_input = max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens)
    plain_output = max(0, usage.output_tokens - usage.reasoning_tokens)
    return _ceil_micro_usd(
        plain_input * input_price
        + usage.cached_input_tokens * _or(p.cached_input_micro_usd_per_million_tokens, input_price)
        + usage.cache_write_tokens * _or(p.cache_write_micro_usd_per_million_tokens, input_price)
        + plain_output * output_price
        + usage.reasoning_tokens * _or(p.reasoning_micro_usd_per_million_tokens, output_price)
    )


def bound_input_tokens(body: bytes) -> int:
    """At most how many prompt tokens a request body can be.

    A byte-level tokenizer yields at most one token a byte, and the body's JSON around each message is longer than the
    template tokens that replace it.
    """
    return len(body) + PREAMBLE_TOKENS


def hold_micro_usd(prices: ModelPrices, *, input_tokens: int, output_tokens: int) -> int:
    """At most what a call can cost, given bounds of its tokens."""
    candidates: list[TokenPrices] = [prices]
    if prices.long_context is not None and input_tokens > prices.long_context.above_input_tokens:
        candidates.append(prices.long_context)
    return max(
        _ceil_micro_usd(input_tokens * _dearest_input(p) + output_tokens * _dearest_output(p)) for p in candidates
    )


def _dearest_input(p: TokenPrices) -> int:
    price = p.input_micro_usd_per_million_tokens
    return max(
        price,
        _or(p.cached_input_micro_usd_per_million_tokens, price),
        _or(p.cache_write_micro_usd_per_million_tokens, price),
    )


def _dearest_output(p: TokenPrices) -> int:
    price = p.output_micro_usd_per_million_tokens
    return max(price, _or(p.reasoning_micro_usd_per_million_tokens, price))


def read_upstream_cost(usage: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    """`usage.cost` in USD as micro-USD rounded up, or None with the flag that says why.

    Numbers must have been parsed as `Decimal` or int; a bool, a text, NaN, an infinity, a negative number or one
    beyond all reason is `CostInvalid`.
    """
    cost: Any = usage.get("cost")
    if cost is None:
        return None, ("CostMissing",)
    if isinstance(cost, bool) or not isinstance(cost, (int, Decimal)):
        return None, ("CostInvalid",)
    usd = Decimal(cost)
    if not usd.is_finite() or usd < 0 or usd > MAX_COST_USD:
        return None, ("CostInvalid",)
    micro_usd = usd.scaleb(6)
    whole = int(micro_usd)
    return whole + (micro_usd > whole), ()


def cost_of_answer(
    *,
    raw_usage: Mapping[str, Any] | None,
    usage: TokenUsage | None,
    prices: ModelPrices | None,
    counted_bound: TokenUsage,
    hold: int | None,
) -> ModelCost:
    """What to book for an answer: the upstream's word, else prices, else a counted upper bound.

    Args:
        raw_usage: The `usage` object as it came; None when none came.
        usage: The same as token counts; None when none came or its counts are unusable.
        prices: The Model's prices, if it has any.
        counted_bound: Upper bounds from the bytes sent and received.
        hold: The reserved upper bound; a cost above it is flagged `Overrun`.
    """
    said, flags = read_upstream_cost(raw_usage or {})
    if usage is None:
        flags = (*flags, "UsageMissing")
    priced = None if prices is None else price_usage(prices, usage or counted_bound)
    if said is not None:
        booked, source = said, CostSource.UPSTREAM
    elif priced is not None:
        booked, source = priced, CostSource.PRICES if usage is not None else CostSource.BOUND
    else:
        booked, source, flags = None, CostSource.UNKNOWN, (*flags, "Unpriced")
    if booked is not None and hold is not None and booked > hold:
        flags = (*flags, "Overrun")
    return ModelCost(micro_usd=booked, source=source, upstream_micro_usd=said, priced_micro_usd=priced, flags=flags)
