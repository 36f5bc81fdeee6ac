"""What an attempt is booked at, and that it is booked once, over a real ledger in memory."""

from decimal import Decimal
from typing import Any

import pytest
from tests.payers import Payer

from aspora.apis.model import ModelPrices, ModelSpec
from aspora.apis.provider import ProviderSpec
from aspora.kit.clock import SystemClock
from aspora.models.catalog import Endpoint
from aspora.models.failures import BudgetExceeded
from aspora.models.interface import CostSource, ModelAttempt
from aspora.models.question import Question, prepare
from aspora.models.spending import IN_FLIGHT_TOKENS, Spending, pay

PRICES = ModelPrices(input_micro_usd_per_million_tokens=3_000_000, output_micro_usd_per_million_tokens=15_000_000)
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500}
ASK = Question(models=("m",), body={"messages": [{"role": "user", "content": "hello"}]}, max_output_tokens=1000)


def endpoint(prices: ModelPrices | None = PRICES) -> Endpoint:
    model = ModelSpec(provider="p", upstream_id="up/m", tier="small", context_tokens=10_000, prices=prices)
    provider = ProviderSpec(base_url="http://127.0.0.1:1/v1")
    return Endpoint(
        alias="m",
        model=model,
        provider_name="p",
        provider=provider,
        base_url="http://127.0.0.1:1/v1",
        upstream_id="up/m",
    )


class Bench:
    def __init__(self, *, cap_micro_usd: int | None = None, prices: ModelPrices | None = PRICES) -> None:
        self.payer = Payer(cap_micro_usd)
        self.attempt = prepare(ASK, endpoint(prices), number=1)
        self.told: list[ModelAttempt] = []

    async def pay(self) -> Spending:
        return await pay(
            self.payer.ledger, self.attempt, self.payer.charge, clock=SystemClock(), observe=self.told.append
        )

    @property
    def hold(self) -> int:
        assert self.attempt.hold_micro_usd is not None
        return self.attempt.hold_micro_usd


async def test_the_upstream_s_word_comes_first_and_both_are_kept() -> None:
    b = Bench()
    cost = (await b.pay()).answered({**USAGE, "cost": Decimal("0.0103")}, model="m").cost
    assert (cost.micro_usd, cost.source, cost.priced_micro_usd) == (10_300, CostSource.UPSTREAM, 10_500)
    assert cost.flags == ()
    assert b.payer.spent_micro_usd == 10_300


async def test_prices_stand_in_for_a_cost_that_is_missing() -> None:
    b = Bench()
    cost = (await b.pay()).answered(USAGE, model="m").cost
    assert (cost.micro_usd, cost.source) == (10_500, CostSource.PRICES)


@pytest.mark.parametrize("said", [Decimal("NaN"), -1, "free", True])
async def test_who_names_a_senseless_cost_is_charged_the_hold(said: Any) -> None:
    b = Bench()
    cost = (await b.pay()).answered({**USAGE, "cost": said}, model="m").cost
    assert (cost.micro_usd, cost.source, cost.flags) == (b.hold, CostSource.HOLD, ("CostInvalid",))


async def test_without_usage_the_bound_is_booked() -> None:
    b = Bench()
    answered = (await b.pay()).answered(None, model="m")
    assert (answered.usage, answered.cost.micro_usd, answered.cost.source) == (None, b.hold, CostSource.BOUND)
    assert answered.cost.flags == ("UsageMissing",)


async def test_a_cost_above_its_hold_is_booked_and_flagged() -> None:
    b = Bench()
    cost = (await b.pay()).answered({**USAGE, "cost": 1_000_000}, model="m").cost
    assert (cost.micro_usd, cost.flags) == (10**12, ("CostDrift", "Overrun"))


async def test_without_a_price_what_the_upstream_says_counts_and_is_no_overrun() -> None:
    b = Bench(prices=None)
    cost = (await b.pay()).answered({**USAGE, "cost": Decimal("0.01")}, model="m").cost
    assert (cost.micro_usd, cost.source, cost.flags) == (10_000, CostSource.UPSTREAM, ("Unpriced",))


async def test_nothing_known_is_unknown_not_zero() -> None:
    b = Bench(prices=None)
    cost = (await b.pay()).answered(USAGE, model="m").cost
    assert (cost.micro_usd, cost.source) == (None, CostSource.UNKNOWN)
    assert "Unpriced" in cost.flags


async def test_a_cut_stream_is_charged_for_what_came_and_what_may_be_under_way() -> None:
    b = Bench()
    (await b.pay()).cut("cancelled", "", output_bytes=100)
    bound = b.attempt.bound.input_tokens * 3 + (100 + IN_FLIGHT_TOKENS) * 15
    assert b.payer.spent_micro_usd == bound < b.hold
    (told,) = b.told
    assert (told.outcome, told.cost.source, told.cost.flags) == (
        "cancelled",
        CostSource.BOUND,
        ("Cut",),
    )


async def test_a_cut_stream_never_costs_more_than_its_hold() -> None:
    b = Bench()
    (await b.pay()).cut("cancelled", "", output_bytes=10**6)
    assert b.payer.spent_micro_usd == b.hold


async def test_it_ends_once() -> None:
    b = Bench()
    spending = await b.pay()
    spending.refused("rate_limited", "status 429")
    spending.in_doubt("failed", "")
    spending.never_sent()
    spending.answered(USAGE, model="m")
    assert b.payer.spent_micro_usd == 0
    assert [a.outcome for a in b.told] == ["rate_limited"]
    assert b.told[0].cost.source is CostSource.NOTHING


async def test_a_hold_in_doubt_counts_and_what_never_went_out_does_not() -> None:
    b = Bench()
    (await b.pay()).in_doubt("timeout", "")
    (await b.pay()).never_sent()
    assert b.payer.spent_micro_usd == b.hold
    assert len(b.told) == 1


async def test_what_does_not_fit_does_not_go_out() -> None:
    b = Bench()
    b.payer = Payer(b.hold * 2 - 1)
    first = await b.pay()
    with pytest.raises(BudgetExceeded, match=r"'m' was not sent: .* are not free"):
        await b.pay()
    first.never_sent()
    await b.pay()
