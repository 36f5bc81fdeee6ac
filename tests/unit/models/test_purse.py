"""The purse of one execution never lets a hold past its cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.models.failures import BudgetExceeded
from aspora.models.purse import ExecutionPurse


async def test_says_what_was_spent_the_cap_and_the_next_call() -> None:
    purse = ExecutionPurse(100_000)
    await purse.reserve(60_000, alias="m")
    purse.settle(60_000, cost_micro_usd=45_000)
    with pytest.raises(BudgetExceeded) as caught:
        await purse.reserve(55_001, alias="m")
    message = str(caught.value)
    assert "spent $0.045 of the cap of $0.10" in message
    assert "could cost up to $0.055001 and was not sent" in message
    await purse.reserve(55_000, alias="m")


async def test_without_a_cap_it_only_counts() -> None:
    purse = ExecutionPurse(None)
    await purse.reserve(10**12, alias="m")
    purse.settle(10**12, cost_micro_usd=7)
    assert (purse.capped, purse.spent_micro_usd) == (False, 7)


@given(cap=st.integers(0, 1000), calls=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30))
async def test_spending_stays_below_the_cap_while_costs_stay_below_holds(
    cap: int, calls: list[tuple[int, int]]
) -> None:
    purse = ExecutionPurse(cap)
    for hold, cost in calls:
        try:
            await purse.reserve(hold, alias="m")
        except BudgetExceeded:
            continue
        purse.settle(hold, cost_micro_usd=min(hold, cost))
    assert purse.spent_micro_usd <= cap


def test_catching_up_never_lowers_the_total() -> None:
    purse = ExecutionPurse(100, spent_micro_usd=10)
    purse.catch_up(30)
    purse.catch_up(20)
    assert purse.spent_micro_usd == 30
