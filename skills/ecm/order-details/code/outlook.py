"""When an order should arrive, how late that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from runbook import Runbook, RunbookError

ENDED = ("delivered", "cancelled", "returned")
STANDARD_CONFIDENCE = 0.85
DELAYED_CONFIDENCE = 0.6


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to expect of one order.

    Args:
        eta: The expected day; None when the order has ended.
        late_days: Calendar days after the promised one; negative is early; None when the order has ended.
        delay: The explanation of the delay, if any.
        escalate: Whether the delay is older than the runbook allows.
    """

    status_words: str
    eta: date | None
    late_days: int | None
    delay: str | None
    next_step: str
    escalate: bool
    confidence: float


def look_ahead(order: Mapping[str, Any], runbook: Runbook, as_of: datetime) -> Outlook:
    """The outlook at the moment `as_of`.

    Raises:
        RunbookError: The runbook has no row for the order's status, service or delay.
    """
    status, today = order["status"], as_of.date()
    words, step = _row(runbook.status_words, status, "status"), _row(runbook.next_steps, status, "status")
    if status in ENDED:
        return Outlook(words, None, None, None, step, False, 1.0)
    promised = date.fromisoformat(order["promised_by"])
    if order["delay"] is None:
        eta = _expected(order, runbook, today, extra_days=0)
        return Outlook(words, eta, (eta - promised).days, None, step, False, STANDARD_CONFIDENCE)
    delay = _row(runbook.delays, order["delay"]["code"], "delay")
    eta = _expected(order, runbook, today, extra_days=delay.adds_days)
    escalate = business_days_between(date.fromisoformat(order["delay"]["since"]), today) > delay.escalate_after_days
    late_days = (eta - promised).days
    return Outlook(words, eta, late_days, delay.explanation, delay.next_step, escalate, DELAYED_CONFIDENCE)


def _expected(order: Mapping[str, Any], runbook: Runbook, today: date, *, extra_days: int) -> date:
    """The day it should arrive: what is overdue is expected today, and what follows counts from then."""
    status, since = order["status"], datetime.fromisoformat(order["timeline"][-1]["at"]).date()
    if status == "out_for_delivery":
        return _not_before(add_business_days(since, extra_days), today)
    travel = _row(runbook.travel_days, order["service"], "service")
    if status == "shipped":
        return _not_before(add_business_days(since, travel + extra_days), today)
    handover = _row(runbook.handover_days, status, "status")
    return add_business_days(_not_before(add_business_days(since, handover + extra_days), today), travel)


def _row(rows: Mapping[str, Any], key: str, what: str) -> Any:
    if key not in rows:
        raise RunbookError(f"runbook: no row for {what} {key!r}; known: {', '.join(rows)}")
    return rows[key]


def _not_before(day: date, today: date) -> date:
    """An expectation that has passed moves to today, or to Monday on a weekend."""
    return add_business_days(max(day, today) - timedelta(days=1), 1) if day <= today else day


def add_business_days(day: date, count: int) -> date:
    """So many Mondays to Fridays later; a weekend day counts from the Friday before. Public holidays are not known."""
    while count > 0:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day


def business_days_between(start: date, end: date) -> int:
    """Mondays to Fridays after `start`, up to and including `end`; zero when `end` is earlier."""
    return sum((start + timedelta(days=step)).weekday() < 5 for step in range(1, (end - start).days + 1))
