"""The skill against the ECB's own file: computed anew with csv, fractions and the statistics module."""

import csv
import gzip
import hashlib
import io
import json
import math
import random
import statistics
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from aspora_sdk import load_skill, load_test_cases

HERE = Path(__file__).parents[2]
DATA = HERE / "data"
SKILL = load_skill("wealth/fx-timing")
SEED = 20261030
WEEK = timedelta(days=7)
DECIMALS = {"JPY": 0, "KRW": 0, "ISK": 0}


def ecb_file() -> str:
    """The ECB's CSV, joined from the columns; only if it is that file to the byte."""
    manifest = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))
    columns = {}
    for currency in manifest["currencies"]:
        with gzip.open(DATA / "rates" / f"{currency}.csv.gz", "rt", encoding="ascii") as file:
            columns[currency] = {row["date"]: row["rate"] for row in csv.DictReader(file)}
    days = sorted({day for column in columns.values() for day in column}, reverse=True)
    rows = [[day, *(column.get(day, "N/A") for column in columns.values()), ""] for day in days]
    text = "".join(",".join(row) + "\n" for row in [["Date", *columns, ""], *rows])
    assert hashlib.sha256(text.encode()).hexdigest() == manifest["csv_sha256"]
    assert manifest["csv_sha256"] in (DATA / "PROVENANCE.md").read_text(encoding="utf-8")
    return text


@pytest.fixture(scope="module")
def ecb() -> dict[date, dict[str, Fraction]]:
    """Day to currency to rate, oldest first, from the raw file alone."""
    rows = list(csv.DictReader(io.StringIO(ecb_file())))
    return {
        date.fromisoformat(row["Date"]): {
            "EUR": Fraction(1),
            **{code: Fraction(rate) for code, rate in row.items() if code not in ("Date", "") and rate != "N/A"},
        }
        for row in reversed(rows)
    }


def cross_rates(ecb, sold: str, bought: str) -> dict[date, Fraction]:
    return {day: rates[bought] / rates[sold] for day, rates in ecb.items() if sold in rates and bought in rates}


def test_answers_equal_an_independent_computation_for_200_random_questions(ecb) -> None:
    made = random.Random(SEED)
    currencies = sorted({code for rates in ecb.values() for code in rates}) + ["INR"] * 4
    first, last = min(ecb), max(ecb)
    seen = {"answered": 0, "refused": 0, "gap": 0, "early rupee": 0}
    for _ in range(200):
        sold, bought = made.choice(currencies), made.choice(currencies)
        while sold == bought:
            bought = made.choice(currencies)
        asked = first + timedelta(days=made.randrange((last - first).days))
        cents = made.randrange(1, 10**9)
        decimals = DECIMALS.get(sold, 2)
        amount = f"{cents // 10**decimals}.{cents % 10**decimals:0{decimals}d}" if decimals else str(cents)
        result = SKILL.execute(amount=amount, date=asked.isoformat(), **{"from": sold, "to": bought})
        rates = cross_rates(ecb, sold, bought)
        fixing = max((day for day in rates if asked - WEEK <= day <= asked), default=None)
        if fixing is None:
            seen["refused"] += 1
            seen["early rupee"] += "INR" in (sold, bought) and asked < date(2009, 1, 2)
            assert result.success is False, (sold, bought, asked)
            assert result.data["reason"] in ("not_yet", "discontinued", "pause")
            continue
        seen["answered"] += 1
        seen["gap"] += fixing != asked
        check_answer(result, rates, fixing, Fraction(cents, 10**decimals), bought)
        assert result.data["fixing_is_earlier"] is (fixing != asked)
    assert min(seen.values()) >= 10, seen


def check_answer(result, rates: dict[date, Fraction], fixing: date, amount: Fraction, bought: str) -> None:
    data, rate = result.data, rates[fixing]
    assert result.success is True
    assert data["fixing_date"] == fixing.isoformat()
    assert data["rate"] == pytest.approx(float(rate), rel=1e-12)
    assert data["converted"]["minor"] == round(amount * rate * 10 ** DECIMALS.get(bought, 2))
    for name, days in (("one_year", 365), ("three_years", 1096)):
        window = [value for day, value in rates.items() if fixing - timedelta(days=days) < day <= fixing]
        found = data["percentiles"][name]
        assert found["fixings"] == len(window)
        if len(window) < 60:
            assert found["percentile"] is None
        else:
            below = sum(value < rate for value in window) + sum(value == rate for value in window) / 2
            assert found["percentile"] == pytest.approx(100 * below / len(window), abs=1e-9)
        assert found["complete"] is (min(rates) <= fixing - timedelta(days=days) + WEEK)
    check_trend(data["trend"], rates, fixing)
    check_volatility(data["volatility"], rates, fixing)


def check_trend(trend, rates: dict[date, Fraction], fixing: date) -> None:
    window = {day: math.log(value) for day, value in rates.items() if fixing - timedelta(days=90) < day <= fixing}
    assert trend["fixings"] == len(window)
    if len(window) < 20:
        assert trend["direction"] == "unknown"
        return
    xs = [(day - fixing).days for day in window]
    line = statistics.linear_regression(xs, list(window.values()))
    percent = 100 * math.expm1(30 * line.slope)
    assert trend["percent_per_30_days"] == pytest.approx(percent, rel=1e-6, abs=1e-9)
    constant = len(set(window.values())) == 1
    r_squared = 0.0 if constant else statistics.correlation(xs, list(window.values())) ** 2
    assert trend["r_squared"] == pytest.approx(r_squared, abs=1e-6)
    clear = r_squared >= 0.3 and abs(percent) >= 0.5
    assert trend["direction"] == (("rising" if percent > 0 else "falling") if clear else "flat")


def check_volatility(volatility, rates: dict[date, Fraction], fixing: date) -> None:
    window = [math.log(value) for day, value in rates.items() if fixing - timedelta(days=365) < day <= fixing]
    changes = [after - before for before, after in pairwise(window)]
    assert volatility["changes"] == len(changes)
    if len(changes) < 60:
        assert volatility["percent_a_year"] is None
        return
    a_year = 100 * statistics.stdev(changes) * math.sqrt(252)
    assert volatility["percent_a_year"] == pytest.approx(a_year, rel=1e-9, abs=1e-9)
    assert volatility["typical_month_percent"] == pytest.approx(a_year / math.sqrt(12), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("case", load_test_cases(HERE / "tests" / "golden.jsonl"), ids=lambda case: case.id)
def test_golden(case) -> None:
    case.check(SKILL.execute(case))


def test_without_a_date_it_is_the_last_fixing_of_the_data(ecb) -> None:
    data = SKILL.execute("1 EUR to USD").data
    assert data["fixing_date"] == data["data_end"] == max(ecb).isoformat()


def test_a_weekend_after_the_data_is_still_answered_a_weekday_is_not(ecb) -> None:
    end = max(ecb)
    monday = end + timedelta(days=(7 - end.weekday()))
    assert SKILL.execute("1 EUR to USD", date=(monday - timedelta(days=1)).isoformat()).success is True
    assert SKILL.execute("1 EUR to USD", date=monday.isoformat()).data["reason"] == "after_data"


@pytest.mark.parametrize(
    ("question", "amount_minor", "sold", "bought", "day"),
    [
        ("10 000 GBP to INR, now or later?", 1_000_000, "GBP", "INR", None),
        ("convert 2,500 USD to JPY on 2015-03-10", 250_000, "USD", "JPY", "2015-03-10"),
        ("£10k in eur", 1_000_000, "GBP", "EUR", None),
        ("what are 1.000.000,50 EUR worth in ISK?", 100_000_050, "EUR", "ISK", None),
        ("what is USD 50 worth in CHF", 5_000, "USD", "CHF", None),
        ("how many JPY for 20 eur?", 2_000, "EUR", "JPY", None),
        ("1,00,000 INR -> GBP on 2024-01-02", 10_000_000, "INR", "GBP", "2024-01-02"),
        ("sell 5.5m JPY into AUD", 5_500_000, "JPY", "AUD", None),
        ("On 2020-01-02, 100€ to USD", 10_000, "EUR", "USD", "2020-01-02"),
        ("10\u202f000 SEK/NOK", 1_000_000, "SEK", "NOK", None),
    ],
)
def test_questions_as_people_ask_them(question: str, amount_minor: int, sold: str, bought: str, day) -> None:
    result = SKILL.execute(question)
    assert result.success is True, result.message
    amount = result.data["amount"]
    assert (amount["minor"], amount["currency"]) == (amount_minor, sold)
    assert (result.data["converted"]["currency"], result.data["asked_date"]) == (bought, day)


def test_metadata_wins_over_the_message() -> None:
    data = SKILL.execute("10 GBP to INR on 2020-01-02", amount="20", to="usd").data
    assert (data["amount"]["minor"], data["converted"]["currency"], data["asked_date"]) == (2000, "USD", "2020-01-02")


def test_verdict_and_confidence_follow_the_method_page(ecb) -> None:
    seen = set()
    for month in range(1, 240):
        asked = date(2006 + month // 12, month % 12 + 1, 15).isoformat()
        result = SKILL.execute(amount=100, date=asked, **{"from": "USD", "to": "BRL" if month < 40 else "CHF"})
        if not result.success:
            continue
        year, three = (result.data["percentiles"][name]["percentile"] for name in ("one_year", "three_years"))
        verdict, trend = result.data["verdict"], result.data["trend"]["direction"]
        if year is None:
            expected = ("unknown", 0.2)
        elif year >= 70 and three >= 60:
            expected = ("favourable", 0.4 if trend == "rising" else 0.5)
        elif year <= 30 and three <= 40:
            expected = ("unfavourable", 0.4 if trend == "falling" else 0.5)
        else:
            expected = ("no_clear_case", 0.35)
        if year is not None and not result.data["percentiles"]["three_years"]["complete"]:
            expected = (expected[0], round(expected[1] - 0.1, 2))
        assert (verdict, result.confidence) == expected
        seen.add(verdict)
    assert seen == {"unknown", "favourable", "unfavourable", "no_clear_case"}
