"""What a call costs and what it may cost at most, in integer micro-USD. No float touches money."""

from decimal import Decimal
from typing import Any

from aspora.apis.model import ModelPrices, TokenPrices
from aspora.models.interface import TokenUsage

TOKENS_PER_PRICE = 1_000_000
PREAMBLE_TOKENS = 1024
"""Tokens an upstream may add around messages and tools: chat templates, tool-use instructions."""


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


def upstream_micro_usd(cost: Any) -> Decimal | None:
    """An upstream's `usage.cost` in USD as exact micro-USD; None: it named none. What is no number becomes NaN.

    Args:
        cost: As it was parsed, numbers as `Decimal` or int.
    """
    if cost is None:
        return None
    if isinstance(cost, bool) or not isinstance(cost, (int, Decimal)):
        return Decimal("NaN")
    usd = Decimal(cost)
    return usd.scaleb(6) if usd.is_finite() and abs(usd) < Decimal(10) ** 30 else usd
