"""Where a rate stands in its own past: percentile, trend, volatility. `references/method.md` defines each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import exp, log, sqrt

from rates import MAX_FIXING_AGE_DAYS, Pair

WINDOWS_DAYS = {"one_year": 365, "three_years": 1096}
VOLATILITY_DAYS = 365
TREND_DAYS = 90
TREND_MIN_FIXINGS = 20
MIN_FIXINGS = 60
FIXINGS_A_YEAR = 252
TREND_MIN_R_SQUARED = 0.3
TREND_MIN_PERCENT = 0.5


@dataclass(frozen=True, slots=True)
class Standing:
    """The rate among the fixings of a trailing window.

    Args:
        percentile: 0 to 100, ties counted half; None with too few fixings.
        fixings: How many the window has.
        since: Its first fixing's day.
        complete: Whether the pair's history reaches back to the window's beginning.
    """

    percentile: float | None
    fixings: int
    since: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through the logarithm of the rate; None values with too few fixings.

    Args:
        direction: rising, falling, flat or unknown.
        percent_per_30_days: The line's slope.
        r_squared: How much of the movement the line explains, 0 to 1.
    """

    direction: str
    percent_per_30_days: float | None
    r_squared: float | None
    fixings: int


@dataclass(frozen=True, slots=True)
class Volatility:
    """Spread of daily changes, a year; None with too few."""

    percent_a_year: float | None
    typical_month_percent: float | None
    changes: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one fixing's place in the past; windows by name, shortest first."""

    windows: dict[str, Standing]
    trend: Trend
    volatility: Volatility


def gather(pair: Pair, index: int) -> Evidence:
    """The evidence at fixing `index`, from that fixing and earlier ones only."""
    windows = {name: standing(pair, index, days) for name, days in WINDOWS_DAYS.items()}
    return Evidence(windows, trend(pair, index), volatility(pair, index))


def window_start(pair: Pair, index: int, days: int) -> int:
    """Index of the first fixing in the window of so many days that ends with, and includes, fixing `index`."""
    end = date.fromisoformat(pair.days[index])
    return pair.first_after(date.fromordinal(end.toordinal() - days).isoformat())


def standing(pair: Pair, index: int, days: int) -> Standing:
    """Percentile of fixing `index` in its window; compared exactly, by cross products."""
    start = window_start(pair, index, days)
    sold, bought = pair.sold[index], pair.bought[index]
    below = ties = 0
    for past in range(start, index + 1):
        left, right = pair.bought[past] * sold, bought * pair.sold[past]
        below += left < right
        ties += left == right
    count = index + 1 - start
    begin = date.fromisoformat(pair.days[index]).toordinal() - days
    complete = date.fromisoformat(pair.days[0]).toordinal() <= begin + MAX_FIXING_AGE_DAYS
    percentile = 100 * (below + ties / 2) / count if count >= MIN_FIXINGS else None
    return Standing(percentile, count, pair.days[start], complete)


def trend(pair: Pair, index: int) -> Trend:
    """Least squares over the trend window."""
    start = window_start(pair, index, TREND_DAYS)
    count = index + 1 - start
    if count < TREND_MIN_FIXINGS:
        return Trend("unknown", None, None, count)
    xs = [float(date.fromisoformat(day).toordinal()) for day in pair.days[start : index + 1]]
    ys = [log(pair.rate(past)) for past in range(start, index + 1)]
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    xx = sum((x - mean_x) ** 2 for x in xs)
    yy = sum((y - mean_y) ** 2 for y in ys)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    percent = 100 * (exp(30 * xy / xx) - 1)
    r_squared = xy * xy / (xx * yy) if yy else 0.0
    clear = r_squared >= TREND_MIN_R_SQUARED and abs(percent) >= TREND_MIN_PERCENT
    direction = ("rising" if percent > 0 else "falling") if clear else "flat"
    return Trend(direction, percent, r_squared, count)


def volatility(pair: Pair, index: int) -> Volatility:
    """Annualised sample standard deviation of the changes between neighbouring fixings in the window."""
    start = window_start(pair, index, VOLATILITY_DAYS)
    logs = [log(pair.rate(past)) for past in range(start, index + 1)]
    changes = [later - earlier for earlier, later in pairwise(logs)]
    if len(changes) < MIN_FIXINGS:
        return Volatility(None, None, len(changes))
    mean = sum(changes) / len(changes)
    deviation = sqrt(sum((change - mean) ** 2 for change in changes) / (len(changes) - 1))
    a_year = 100 * deviation * sqrt(FIXINGS_A_YEAR)
    return Volatility(a_year, a_year / sqrt(12), len(changes))
