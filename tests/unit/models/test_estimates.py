"""What executions will cost: guesses that never lie outside what is known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.apis.model import ModelPrices
from aspora.models.estimates import MIN_EXECUTIONS, from_cases, from_history

PRICES = ModelPrices(input_micro_usd_per_million_tokens=3_000_000, output_micro_usd_per_million_tokens=15_000_000)
KNOWN: dict[str, Any] = {"instruction_bytes": 4000, "prices": PRICES, "max_output_tokens": 1000, "cap_micro_usd": 10**6}


def test_few_executions_say_nothing() -> None:
    assert from_history([100] * (MIN_EXECUTIONS - 1)) is None
    known = from_history([100] * MIN_EXECUTIONS)
    assert known
    assert known.times(1000) == (100_000, 100_000, 100_000)


def test_the_interval_of_a_history_is_that_of_its_mean() -> None:
    known = from_history([0, 200] * 50)
    assert known
    # The deviation is 100.5, the error of the mean 10.05.
    assert known.times(1) == (81, 100, 120)


@given(st.lists(st.integers(0, 10**9), min_size=MIN_EXECUTIONS, max_size=60))
def test_the_mean_lies_in_its_interval(costs: list[int]) -> None:
    known = from_history(costs)
    assert known
    assert 0 <= known.low <= known.expected <= known.high


def test_from_cases_by_hand() -> None:
    known = from_cases(input_bytes=[1000, 3000], **KNOWN)
    # 6000 bytes: 1000, 1500 and 2000 tokens in; 100, 500 and 1000 out; once, twice and four times.
    assert known.times(1) == (3000 + 1500, 2 * (4500 + 7500), 4 * (6000 + 15_000))


@pytest.mark.parametrize("cap", [0, 5000, 30_000])
def test_no_execution_costs_more_than_its_cap(cap: int) -> None:
    known = from_cases(input_bytes=[], **{**KNOWN, "cap_micro_usd": cap})
    assert known.low <= known.expected <= known.high <= cap
