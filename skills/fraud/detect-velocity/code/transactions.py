"""From metadata to transactions and a baseline, or to every problem in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

CHANNELS = ("card", "ecommerce", "transit", "subscription", "atm")
MAX_TRANSACTIONS = 20_000
LOOKBACK = timedelta(hours=1)
MIN_HISTORY_DAYS = 7
BASELINE_KEYS = ("transactions_per_day", "typical_amount_minor", "merchants_per_day", "known_merchants")


class TransactionsError(Exception):
    """Transactions or a baseline that cannot be scored; `problems` names each place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Transaction:
    """One card transaction; `amount_minor` in the account's minor unit."""

    id: str
    at: datetime
    amount_minor: int
    merchant: str
    channel: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for a customer.

    Args:
        source: given, learned or default.
        known_merchants: Merchants seen before.
    """

    source: str
    transactions_per_day: float
    typical_amount_minor: float
    merchants_per_day: float
    known_merchants: frozenset[str]


DEFAULT_BASELINE = Baseline("default", 4.0, 2500.0, 2.0, frozenset())


def read_transactions(given: Any) -> list[Transaction]:
    """The transactions, oldest first; an id that comes twice is one transaction told twice.

    Raises:
        TransactionsError: With every problem.
    """
    if not isinstance(given, list):
        raise TransactionsError(["metadata.transactions must be a list of transactions"])
    if len(given) > MAX_TRANSACTIONS:
        raise TransactionsError([f"{len(given)} transactions; the most is {MAX_TRANSACTIONS}"])
    problems: list[str] = []
    found = [_transaction(item, f"transactions[{index}]", problems) for index, item in enumerate(given)]
    if problems:
        raise TransactionsError(problems)
    by_id = {item.id: item for item in found if item is not None}
    return sorted(by_id.values(), key=lambda item: item.at)


def _transaction(item: Any, where: str, problems: list[str]) -> Transaction | None:
    if not isinstance(item, dict):
        problems.append(f"{where} is {item!r}, not an object")
        return None
    before = len(problems)
    at = read_time(item.get("at"), f"{where}.at", problems)
    amount, merchant, channel = item.get("amount_minor"), item.get("merchant"), item.get("channel", "card")
    if type(amount) is not int or amount < 0:
        problems.append(f"{where}.amount_minor is {amount!r}; it must be a whole number of minor units, zero or more")
    if not isinstance(merchant, str) or not merchant.strip():
        problems.append(f"{where}.merchant is {merchant!r}; it must be text")
    if channel not in CHANNELS:
        problems.append(f"{where}.channel is {channel!r}; one of {', '.join(CHANNELS)}")
    if len(problems) > before or at is None:
        return None
    return Transaction(str(item.get("id", where)), at, amount, merchant.strip().casefold(), channel)


def read_time(value: Any, where: str, problems: list[str]) -> datetime | None:
    """An aware time in UTC; a problem is added when it is none."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        problems.append(f"{where} is {value!r}; write it like 2026-03-02T12:00:00+00:00")
        return None
    if at.tzinfo is None:
        problems.append(f"{where} is {value!r} without an offset; write it like 2026-03-02T12:00:00+00:00")
        return None
    return at.astimezone(UTC)


def read_baseline(given: Any, history: list[Transaction]) -> Baseline:
    """The given baseline, completed by what the history teaches, else by the default.

    Raises:
        TransactionsError: With every problem in the given one.
    """
    learned = _learned(history)
    if given is None:
        return learned
    if not isinstance(given, dict):
        raise TransactionsError([f"baseline is {given!r}, not an object"])
    problems = [
        f"unknown baseline.{key}; known: {', '.join(BASELINE_KEYS)}" for key in given if key not in BASELINE_KEYS
    ]
    numbers = {key: _positive(given, key, getattr(learned, key), problems) for key in BASELINE_KEYS[:3]}
    merchants = given.get("known_merchants", [])
    if not isinstance(merchants, list) or not all(isinstance(name, str) for name in merchants):
        problems.append("baseline.known_merchants must be a list of texts")
    if problems:
        raise TransactionsError(problems)
    known = frozenset(name.strip().casefold() for name in merchants) | learned.known_merchants
    return Baseline("given", **numbers, known_merchants=known)


def _positive(given: Mapping[str, Any], key: str, otherwise: float, problems: list[str]) -> float:
    value = given.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        problems.append(f"baseline.{key} is {value!r}; it must be a number above zero")
        return otherwise
    return float(value)


def _learned(history: list[Transaction]) -> Baseline:
    merchants = frozenset(item.merchant for item in history)
    span_days = (history[-1].at - history[0].at) / timedelta(days=1) if history else 0.0
    if span_days < MIN_HISTORY_DAYS:
        default = DEFAULT_BASELINE
        return Baseline(
            "default", default.transactions_per_day, default.typical_amount_minor, default.merchants_per_day, merchants
        )
    by_day: dict[Any, set[str]] = {}
    for item in history:
        by_day.setdefault(item.at.date(), set()).add(item.merchant)
    return Baseline(
        source="learned",
        transactions_per_day=len(history) / span_days,
        typical_amount_minor=max(1.0, median(item.amount_minor for item in history)),
        merchants_per_day=sum(map(len, by_day.values())) / len(by_day),
        known_merchants=merchants,
    )


def split(transactions: list[Transaction], as_of: datetime) -> tuple[list[Transaction], list[Transaction]]:
    """History and the scored hour; what lies after `as_of` is in neither."""
    start = as_of - LOOKBACK
    return (
        [item for item in transactions if item.at <= start],
        [item for item in transactions if start < item.at <= as_of],
    )
