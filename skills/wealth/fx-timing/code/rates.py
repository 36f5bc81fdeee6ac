"""The ECB's reference rates as shipped with this skill: one currency's history, and a pair's common days."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
EURO = "EUR"
DECIMALS = 6
MAX_FIXING_AGE_DAYS = 7

# Why a currency's rates ended, for a clear answer.
ENDINGS = {
    "BGN": "Bulgaria adopted the euro on 2026-01-01",
    "CYP": "Cyprus adopted the euro on 2008-01-01",
    "EEK": "Estonia adopted the euro on 2011-01-01",
    "HRK": "Croatia adopted the euro on 2023-01-01",
    "LTL": "Lithuania adopted the euro on 2015-01-01",
    "LVL": "Latvia adopted the euro on 2014-01-01",
    "MTL": "Malta adopted the euro on 2008-01-01",
    "ROL": "Romania replaced it by RON on 2005-07-01",
    "RUB": "the ECB suspended its rate in March 2022",
    "SIT": "Slovenia adopted the euro on 2007-01-01",
    "SKK": "Slovakia adopted the euro on 2009-01-01",
    "TRL": "Turkey replaced it by TRY on 2005-01-01",
}


class NoRateError(Exception):
    """There is no rate to answer with.

    Attributes:
        reason: `unknown_currency`, `not_yet`, `discontinued`, `pause` or `after_data`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pair:
    """Two currencies' fixings on the days that have both, oldest first.

    Args:
        days: ISO dates; they sort as text.
        sold: Units of the sold currency for one euro, in millionths, so that arithmetic is exact.
        bought: The same for the bought currency.
    """

    days: list[str]
    sold: list[int]
    bought: list[int]

    def rate(self, index: int) -> float:
        """Bought units for one sold unit."""
        return self.bought[index] / self.sold[index]

    def first_after(self, day: str) -> int:
        """Index of the first fixing later than `day`."""
        return bisect_right(self.days, day)


@cache
def manifest() -> dict[str, object]:
    """Range and currencies of the data."""
    return json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))


@cache
def history(currency: str) -> dict[str, int]:
    """Day to rate in millionths, oldest first.

    Raises:
        NoRateError: The ECB publishes no rate for it.
    """
    if currency not in manifest()["currencies"]:
        known = ", ".join(sorted([EURO, *manifest()["currencies"]]))
        raise NoRateError("unknown_currency", f"the ECB publishes no rate for {currency!r}; known: {known}")
    lines = gzip.decompress((DATA / "rates" / f"{currency}.csv.gz").read_bytes()).decode("ascii").splitlines()
    return {line[:10]: _millionths(line[11:]) for line in lines[1:]}


def _millionths(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(DECIMALS, "0"))


@cache
def load_pair(sold: str, bought: str) -> Pair:
    """The common days of two different currencies.

    Raises:
        NoRateError: One is unknown.
    """
    sold_by_day = history(sold) if sold != EURO else None
    bought_by_day = history(bought) if bought != EURO else None
    days = list(bought_by_day if sold_by_day is None else sold_by_day)
    if sold_by_day is not None and bought_by_day is not None:
        days = [day for day in days if day in bought_by_day]
    one = 10**DECIMALS
    return Pair(
        days,
        [one] * len(days) if sold_by_day is None else [sold_by_day[day] for day in days],
        [one] * len(days) if bought_by_day is None else [bought_by_day[day] for day in days],
    )


def fixing_index(sold: str, bought: str, asked: date | None) -> int:
    """Index in the pair of the fixing that answers for the asked day; None asks for the data's last day.

    Raises:
        NoRateError: No fixing on that day or in the week before.
    """
    pair = load_pair(sold, bought)
    data_end = date.fromisoformat(manifest()["last_date"])
    wanted = asked or data_end
    if _weekday_between(data_end, wanted):
        raise NoRateError(
            "after_data",
            f"{wanted} is after the last fixing in the data, {data_end}; leave the date out for the latest rate",
        )
    index = pair.first_after(wanted.isoformat()) - 1
    if index >= 0 and (wanted - date.fromisoformat(pair.days[index])).days <= MAX_FIXING_AGE_DAYS:
        return index
    raise _no_fixing(sold, bought, wanted)


def _weekday_between(data_end: date, wanted: date) -> bool:
    """Whether a weekday lies after the data's end, up to the wanted day: it may have a fixing that is not here."""
    days_after = range(data_end.toordinal() + 1, min(wanted.toordinal(), data_end.toordinal() + 3) + 1)
    return any(date.fromordinal(day).weekday() < 5 for day in days_after)


def _no_fixing(sold: str, bought: str, wanted: date) -> NoRateError:
    """Which of the two currencies is missing on that day, and why."""
    for currency in (sold, bought):
        if currency == EURO:
            continue
        days = list(history(currency))
        if wanted.isoformat() < days[0]:
            return NoRateError("not_yet", f"no ECB rate for {currency} on {wanted}: its first is of {days[0]}")
        if wanted.isoformat() > days[-1] and days[-1] < manifest()["last_date"]:
            why = ENDINGS.get(currency, "the ECB stopped publishing it")
            return NoRateError(
                "discontinued", f"no ECB rate for {currency} on {wanted}: its last is of {days[-1]} ({why})"
            )
    pair = load_pair(sold, bought)
    index = pair.first_after(wanted.isoformat())
    around = " and ".join(pair.days[max(0, index - 1) : index + 1]) or "never"
    return NoRateError("pause", f"no ECB rate for {sold} to {bought} on {wanted}; the nearest fixings are of {around}")
