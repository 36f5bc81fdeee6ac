"""What a skill's executions will cost: from what they did cost, or from its instructions and cases. A guess."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, stdev
from typing import Final

from aspora.apis.model import ModelPrices
from aspora.models.interface import TokenUsage
from aspora.models.pricing import price_usage

MIN_EXECUTIONS: Final = 20
"""Fewer than that say too little of the next ones."""

HISTORY_METHOD: Final = "mean cost of past executions, 95 % interval by the normal approximation"
CASES_METHOD: Final = (
    "size of the instructions and of the test cases' inputs at 6, 4 and 3 bytes a token; 1, 2 and 4 model calls an"
    " execution; answers of 100 tokens, of 500, and as long as allowed; never above the cap of an execution"
)
NO_CALLS_METHOD: Final = "a handler makes no model calls"

_BYTES_PER_TOKEN: Final = (6, 4, 3)
_CALLS: Final = (1, 2, 4)
_ANSWER_TOKENS: Final = (100, 500)
_PER_95_PERCENT: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of one execution, in micro-USD.

    Attributes:
        low: It is hardly less.
        expected: On average.
        high: It is hardly more.
        method: How that was found.
    """

    low: Fraction
    expected: Fraction
    high: Fraction
    method: str

    def times(self, executions: int) -> tuple[int, int, int]:
        """Low, expected and high for so many executions, in whole micro-USD, rounded up."""
        return (
            math.ceil(self.low * executions),
            math.ceil(self.expected * executions),
            math.ceil(self.high * executions),
        )


def from_history(costs_micro_usd: Sequence[int]) -> Estimate | None:
    """From what executions cost; None when they are fewer than `MIN_EXECUTIONS`."""
    count = len(costs_micro_usd)
    if count < MIN_EXECUTIONS:
        return None
    mean = Fraction(sum(costs_micro_usd), count)
    half = Fraction(_PER_95_PERCENT * stdev(costs_micro_usd) / math.sqrt(count))
    return Estimate(low=max(mean - half, Fraction(0)), expected=mean, high=mean + half, method=HISTORY_METHOD)


def from_cases(
    *,
    instruction_bytes: int,
    input_bytes: Sequence[int],
    prices: ModelPrices,
    max_output_tokens: int,
    cap_micro_usd: int,
) -> Estimate:
    """From what a skill is told and asked.

    Args:
        instruction_bytes: Sent with each model call.
        input_bytes: Of each case; empty counts as one of a thousand.
        cap_micro_usd: Of an execution.
    """
    asked = instruction_bytes + fmean(input_bytes or [1000])
    answers = (*_ANSWER_TOKENS, max_output_tokens)
    amounts: list[Fraction] = []
    for bytes_per_token, calls, answer in zip(_BYTES_PER_TOKEN, _CALLS, answers, strict=True):
        output = min(answer, max_output_tokens)
        usage = TokenUsage(input_tokens=math.ceil(asked / bytes_per_token), output_tokens=output)
        amounts.append(Fraction(min(calls * price_usage(prices, usage), cap_micro_usd)))
    low, expected, high = amounts
    return Estimate(low=low, expected=expected, high=high, method=CASES_METHOD)


def without_calls() -> Estimate:
    """Of a skill that asks no model."""
    return Estimate(low=Fraction(0), expected=Fraction(0), high=Fraction(0), method=NO_CALLS_METHOD)
