"""What is said of a call when it is over, as the settling function takes it."""

from typing import Any

from aspora.ledger.books import plain
from aspora.ledger.costs import MOST_TOKENS, Booking, tokens_of
from aspora.ledger.interface import CallId, Settlement


def settling(
    call: CallId, settlement: Settlement, booking: Booking, *, act: str = "settle", is_bounded: bool = True
) -> dict[str, Any]:
    """It cost that; `act` is `reconcile` for what must be in doubt."""
    return {
        "id": call,
        "act": act,
        "bounded": is_bounded,
        "cost": booking.cost_micro_usd,
        "cost_source": booking.source.value,
        "upstream_micro_usd": booking.upstream_micro_usd,
        "priced_micro_usd": booking.priced_micro_usd,
        "tokens": tokens_of(settlement),
        "input_tokens": _count(settlement.input_tokens),
        "output_tokens": _count(settlement.output_tokens),
        "model": None if settlement.model is None else plain(settlement.model),
        "provider": None if settlement.provider is None else plain(settlement.provider),
        "outcome": plain(settlement.outcome),
        "findings": list(booking.findings),
    }


def doubting(call: CallId) -> dict[str, Any]:
    """Nobody knows."""
    return {"id": call, "act": "doubt"}


def releasing(call: CallId) -> dict[str, Any]:
    """It never went out."""
    return {"id": call, "act": "release"}


def _count(told: int | None) -> int | None:
    return told if told is not None and 0 <= told <= MOST_TOKENS else None
