"""Patterns that look fast and are ordinary: transit taps, and subscriptions that were charged before."""

from __future__ import annotations

from datetime import timedelta

from transactions import Transaction

TRANSIT_MAX_MINOR = 1500
SAME_AMOUNT_TOLERANCE = 0.05
RENEWAL_AGES = (
    (timedelta(days=6), timedelta(days=8)),
    (timedelta(days=27), timedelta(days=32)),
    (timedelta(days=360), timedelta(days=370)),
)
MAX_SET_APART = 20


def benign_reasons(recent: list[Transaction], history: list[Transaction]) -> dict[str, str]:
    """Transaction id to why it is ordinary; at most `MAX_SET_APART`, the oldest first."""
    past_by_merchant: dict[str, list[Transaction]] = {}
    for item in history:
        past_by_merchant.setdefault(item.merchant, []).append(item)
    found = {item.id: reason for item in recent if (reason := _reason(item, past_by_merchant.get(item.merchant, [])))}
    return dict(list(found.items())[:MAX_SET_APART])


def _reason(item: Transaction, past: list[Transaction]) -> str | None:
    if item.channel == "transit" and item.amount_minor <= TRANSIT_MAX_MINOR:
        return "transit tap"
    if item.channel == "subscription" and any(_renews(item, earlier) for earlier in past):
        return "subscription"
    return None


def _renews(item: Transaction, earlier: Transaction) -> bool:
    age = item.at - earlier.at
    same = abs(item.amount_minor - earlier.amount_minor) <= SAME_AMOUNT_TOLERANCE * earlier.amount_minor
    return same and any(least <= age <= most for least, most in RENEWAL_AGES)
