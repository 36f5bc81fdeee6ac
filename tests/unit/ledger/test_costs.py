from decimal import Decimal

import pytest

from aspora.ledger.costs import MOST_MICRO_USD, book
from aspora.ledger.interface import CostSource, Settlement

HOLD = 1000
UPSTREAM, PRICES, AT_HOLD = CostSource.UPSTREAM, CostSource.PRICES, CostSource.HOLD


@pytest.mark.parametrize(
    ("upstream", "priced", "cost", "source", "findings"),
    [
        (700, None, 700, UPSTREAM, ()),
        (700, 680, 700, UPSTREAM, ()),
        (700, 600, 700, UPSTREAM, ("CostDrift",)),
        (0, 0, 0, UPSTREAM, ()),
        (0, 1, 0, UPSTREAM, ("CostDrift",)),
        (HOLD, None, HOLD, UPSTREAM, ()),
        (HOLD + 1, None, HOLD + 1, UPSTREAM, ("Overrun",)),
        (Decimal("0.2"), None, 1, UPSTREAM, ()),
        (699.000001, None, 700, UPSTREAM, ()),
        (10**12, None, 10**12, UPSTREAM, ("Overrun",)),
        (MOST_MICRO_USD, None, MOST_MICRO_USD, UPSTREAM, ("Overrun",)),
        (1e300, None, MOST_MICRO_USD, UPSTREAM, ("CostClamped", "Overrun")),
        (None, 600, 600, PRICES, ()),
        (None, 1200, 1200, PRICES, ("Overrun",)),
        (None, None, HOLD, AT_HOLD, ("CostMissing",)),
        (None, -5, HOLD, AT_HOLD, ("CostMissing",)),
        (-1, None, HOLD, AT_HOLD, ("CostInvalid",)),
        (-0.0001, 600, HOLD, AT_HOLD, ("CostInvalid",)),
        (float("nan"), 600, HOLD, AT_HOLD, ("CostInvalid",)),
        (Decimal("sNaN"), None, HOLD, AT_HOLD, ("CostInvalid",)),
        (float("inf"), None, HOLD, AT_HOLD, ("CostInvalid",)),
        (float("-inf"), None, HOLD, AT_HOLD, ("CostInvalid",)),
    ],
)
def test_each_rule(
    upstream: int | float | Decimal | None,
    priced: int | None,
    cost: int,
    source: CostSource,
    findings: tuple[str, ...],
) -> None:
    booking = book(Settlement(upstream_micro_usd=upstream, priced_micro_usd=priced), hold_micro_usd=HOLD)
    assert (booking.cost_micro_usd, booking.source, booking.findings) == (cost, source, findings)


def test_both_costs_are_kept() -> None:
    booking = book(Settlement(upstream_micro_usd=1e300, priced_micro_usd=600), hold_micro_usd=HOLD)
    assert (booking.upstream_micro_usd, booking.priced_micro_usd) == (MOST_MICRO_USD, 600)
