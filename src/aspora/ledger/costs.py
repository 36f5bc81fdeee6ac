"""What a call is booked at, whatever the upstream says it cost."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from aspora.ledger.interface import CostSource, Settlement

MOST_MICRO_USD = 10**15
"""A billion dollars: beyond that a number is no cost, and a few of them would not fit the sums."""

MOST_TOKENS = 10**12
"""Beyond that a number is no count."""

_DRIFT_BP = 500
_BP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What goes into the books."""

    cost_micro_usd: int
    source: CostSource
    upstream_micro_usd: int | None
    priced_micro_usd: int | None
    findings: tuple[str, ...]


def book(settlement: Settlement, *, hold_micro_usd: int, is_bounded: bool = True) -> Booking:
    """Say what a call is charged.

    - The upstream names a usable cost (finite, not negative): that, rounded up to a whole micro-dollar.
    - It names none: what the prices say. When those say nothing either: the hold, with the finding `CostMissing`.
    - It names one that can't be (negative, NaN, infinite): the hold, with the finding `CostInvalid`; who says that
      can't be trusted with its token counts either, so the prices are not asked.
    - More than the hold, however much (a million dollars): as told, with the finding `Overrun`; the account is paused.
      Only above a billion dollars it is booked as a billion, `CostClamped`.
    - The upstream and the prices differ by more than 5 %: as the upstream says, with the finding `CostDrift`.

    Args:
        settlement: What was told.
        hold_micro_usd: The upper bound that was set aside.
        is_bounded: False: the hold is none, and nothing is an overrun.
    """
    findings = list(settlement.findings)
    told = settlement.upstream_micro_usd
    upstream = _usable(told)
    priced = _usable(settlement.priced_micro_usd)
    if upstream is not None:
        cost, source = upstream, CostSource.UPSTREAM
    elif told is None and priced is not None:
        cost, source = priced, CostSource.PRICES
    else:
        cost, source = hold_micro_usd, CostSource.HOLD
        findings.append("CostMissing" if told is None else "CostInvalid")
    if cost > MOST_MICRO_USD:
        cost = MOST_MICRO_USD
        findings.append("CostClamped")
    if upstream is not None and priced is not None and abs(upstream - priced) * _BP > priced * _DRIFT_BP:
        findings.append("CostDrift")
    if is_bounded and cost > hold_micro_usd:
        findings.append("Overrun")
    return Booking(
        cost_micro_usd=cost,
        source=source,
        upstream_micro_usd=_bounded(upstream),
        priced_micro_usd=_bounded(priced),
        findings=tuple(findings),
    )


def tokens_of(settlement: Settlement) -> int | None:
    """Input and output together; None when a count is missing or can't be: then the hold counts."""
    counts = (settlement.input_tokens, settlement.output_tokens)
    known = [count for count in counts if count is not None and 0 <= count <= MOST_TOKENS]
    return sum(known) if len(known) == len(counts) else None


def _usable(told: float | Decimal | None) -> int | None:
    if told is None:
        return None
    exact = Decimal(str(told)) if isinstance(told, float) else Decimal(told)
    if not exact.is_finite() or exact < 0:
        return None
    if exact > MOST_MICRO_USD:
        return MOST_MICRO_USD + 1
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def _bounded(amount: int | None) -> int | None:
    return None if amount is None else min(amount, MOST_MICRO_USD)
