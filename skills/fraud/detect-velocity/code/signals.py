"""Five signals of the scored hour, each 0 to 1, and the score they make; specified in `references/scoring.md`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import exp, inf, log, log1p, prod

from transactions import Baseline, Transaction

WEIGHTS = {"rate": 0.85, "burst": 0.80, "escalation": 0.50, "merchants": 0.45, "amounts": 0.35}
RATE_WINDOWS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=60))
BURST_WINDOW = timedelta(minutes=1)
WAKING_MINUTES = 16 * 60
BENIGN_WEIGHT = 0.1
RATE_LOG10_FROM, RATE_LOG10_TO = 1.0, 9.0
BURST_FROM, BURST_TO = 2.0, 8.0
ESCALATION_MIN_STEPS, ESCALATION_TO_RATIO = 4, 20.0
NEW_MERCHANTS_TO = 8.0
AMOUNT_TO_RATIO = 30.0
LN_10 = log(10)


@dataclass(frozen=True, slots=True)
class Weighted:
    """A transaction and how much it counts: 1, or little when it is benign."""

    item: Transaction
    weight: float


def weigh(recent: list[Transaction], benign: dict[str, str]) -> list[Weighted]:
    """The hour's transactions with their weights, oldest first."""
    return [Weighted(item, BENIGN_WEIGHT if item.id in benign else 1.0) for item in recent]


def signals(hour: list[Weighted], baseline: Baseline) -> dict[str, float]:
    """Each signal by name."""
    suspicious = [entry.item for entry in hour if entry.weight == 1.0]
    return {
        "rate": _rate(hour, baseline),
        "burst": _between(densest(hour, BURST_WINDOW), BURST_FROM, BURST_TO),
        "escalation": _escalation(suspicious),
        "merchants": _merchants(suspicious, baseline),
        "amounts": _amounts(suspicious, baseline),
    }


def combine(found: dict[str, float]) -> float:
    """The noisy-or of all signals."""
    return 1 - prod(1 - WEIGHTS[name] * value for name, value in found.items())


def densest(hour: list[Weighted], window: timedelta) -> float:
    """The largest weight that falls within any stretch as long as the window."""
    most = current = 0.0
    first = 0
    for entry in hour:
        current += entry.weight
        while entry.item.at - hour[first].item.at >= window:
            current -= hour[first].weight
            first += 1
        most = max(most, current)
    return most


def _rate(hour: list[Weighted], baseline: Baseline) -> float:
    # A window begins with a transaction; the surprise is in how many more follow it.
    per_minute = baseline.transactions_per_day / WAKING_MINUTES
    surprises = [
        -log_poisson_tail(round(densest(hour, window)) - 1, per_minute * (window / timedelta(minutes=1))) / LN_10
        for window in RATE_WINDOWS
    ]
    return _between(max(surprises), RATE_LOG10_FROM, RATE_LOG10_TO)


def log_poisson_tail(count: int, mean: float) -> float:
    """Natural logarithm of the chance of `count` or more events when `mean` are expected, far out in the tail too."""
    if count <= 0:
        return 0.0
    if count <= mean:
        # Near or below the mean the tail is large: one minus the head is exact enough.
        term = head = exp(-mean)
        for number in range(1, count):
            term *= mean / number
            head += term
        return log1p(-head) if head < 1 else -inf
    log_first = count * log(mean) - mean - sum(log(number) for number in range(2, count + 1))
    ratio = total = 1.0
    number = count
    while ratio > 1e-17 * total:
        number += 1
        ratio *= mean / number
        total += ratio
    return log_first + log(total)


def _escalation(items: list[Transaction]) -> float:
    """The steepest run of rising amounts: small tests first, then the real thing."""
    steepest, run = 0.0, items[:1]
    for item in items[1:]:
        run = [*run, item] if item.amount_minor > run[-1].amount_minor else [item]
        if len(run) >= ESCALATION_MIN_STEPS:
            steepest = max(
                steepest, _log_share(run[-1].amount_minor / max(1, run[0].amount_minor), ESCALATION_TO_RATIO)
            )
    return steepest


def _merchants(items: list[Transaction], baseline: Baseline) -> float:
    unknown = {item.merchant for item in items} - baseline.known_merchants
    return _between(len(unknown), baseline.merchants_per_day, baseline.merchants_per_day + NEW_MERCHANTS_TO)


def _amounts(items: list[Transaction], baseline: Baseline) -> float:
    largest = max((item.amount_minor for item in items), default=0)
    return _log_share(largest / baseline.typical_amount_minor, AMOUNT_TO_RATIO) if largest else 0.0


def _between(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _log_share(ratio: float, full: float) -> float:
    """0 at a ratio of 1 or less, 1 at `full` or more, equal steps for equal factors."""
    return min(1.0, max(0.0, log(ratio) / log(full))) if ratio > 0 else 0.0
