"""The goal skill against arithmetic done another way: fractions, brute force, and the documents' own tables."""

import json
import random
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from aspora_sdk import load_skill, load_test_cases

HERE = Path(__file__).parents[2]
SKILL = load_skill("wealth/create-goal")
MONEY, RISK, PROJECTION = (SKILL.module(f"shared.{name}") for name in ("money", "risk", "projection"))
PLAN = {
    "goal_type": "house",
    "target_amount": 60000,
    "currency": "EUR",
    "target_date": "2033-06-30",
    "monthly_contribution": 500,
    "as_of": "2026-01-01",
}


@pytest.mark.parametrize("case", load_test_cases(HERE / "tests" / "golden.jsonl"), ids=lambda case: case.id)
def test_golden(case) -> None:
    case.check(SKILL.execute(case))


def balance(savings: int, monthly: int, months: int, rate: Decimal) -> int:
    """The account month by month in exact fractions; Python's round() is half to even."""
    exact = Fraction(rate)
    for _ in range(months):
        savings += round(savings * exact) + monthly
    return savings


def test_projections_equal_an_account_kept_in_fractions() -> None:
    data = SKILL.execute(**PLAN, current_savings=10000).data
    for course in data["projection"].values():
        rate = PROJECTION.monthly_rate(course["annual_return_bp"])
        assert course["value"]["minor"] == balance(1_000_000, 50_000, 89, rate)
        assert course["difference_to_target"]["minor"] == course["value"]["minor"] - 6_000_000
        deflated = course["value"]["minor"] / 1.02 ** (89 / 12)
        assert course["in_todays_money"]["minor"] == pytest.approx(deflated, abs=1)


def test_twelve_months_make_the_annual_rate() -> None:
    for bp in (-500, 0, 150, 600):
        assert float((1 + PROJECTION.monthly_rate(bp)) ** 12) == pytest.approx(1 + bp / 10_000, abs=1e-15)


def test_the_needed_contribution_is_the_least_that_reaches_the_target() -> None:
    made = random.Random(7)
    for _ in range(40):
        target = made.randrange(1_000, 500_000)
        result = SKILL.execute(
            **PLAN
            | {
                "target_amount": target,
                "target_date": f"{made.randrange(2027, 2060)}-0{made.randrange(1, 10)}-01",
                "current_savings": made.randrange(0, target),
                "goal_type": made.choice(["house", "retirement", "emergency_fund"]),
                "risk_tolerance": made.choice(["low", "high"]),
                "currency": made.choice(["EUR", "JPY"]),
            }
        )
        goal = result.data["goal"]
        rate = PROJECTION.monthly_rate(result.data["projection"]["expected"]["annual_return_bp"])
        needed = result.data["required_monthly"]["expected"]["minor"]
        savings, months = goal["current_savings"]["minor"], goal["months"]
        assert balance(savings, needed, months, rate) >= goal["target"]["minor"]
        assert needed == 0 or balance(savings, needed - 1, months, rate) < goal["target"]["minor"]


def test_the_pace_is_the_first_month_that_reaches_the_target() -> None:
    data = SKILL.execute(**PLAN).data
    rate = PROJECTION.monthly_rate(data["projection"]["expected"]["annual_return_bp"])
    first = next(month for month in range(2000) if balance(0, 50_000, month, rate) >= 6_000_000)
    assert data["months_at_this_pace"] == first
    assert SKILL.execute(**PLAN | {"monthly_contribution": 0}).data["months_at_this_pace"] is None


def test_risk_weights_sum_to_a_whole_and_more_of_a_factor_never_lowers_the_score() -> None:
    assert sum(RISK.WEIGHTS_PERCENT.values()) == 100
    scores = [SKILL.execute(**PLAN, risk_tolerance=t).data["risk"]["score"] for t in ("low", "medium", "high")]
    assert scores == sorted(set(scores))
    by_year = [SKILL.execute(**PLAN | {"target_date": f"{y}-06-30"}).data["risk"]["score"] for y in range(2027, 2050)]
    assert by_year == sorted(by_year)
    assert SKILL.execute(**PLAN, risk_tolerance="low").data["risk"]["band"] == "conservative"
    far = PLAN | {
        "target_date": "2060-01-01",
        "goal_type": "retirement",
        "risk_tolerance": "high",
        "current_savings": 50000,
    }
    assert SKILL.execute(**far).data["risk"]["band"] == "aggressive"


def test_the_assumptions_page_says_what_the_code_assumes() -> None:
    page = (HERE / "references" / "assumptions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d.]+) % \| ([\d.]+) % \|$", page, re.MULTILINE)
    told = {
        name.replace(" ", "_"): (round(float(mean) * 100), round(float(spread) * 100)) for name, mean, spread in rows
    }
    assert told == {band: (a.return_bp, a.volatility_bp) for band, a in PROJECTION.ASSUMPTIONS.items()}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"target_date": "2026-01-20"}, "target_date", "less than a month"),
        ({"target_date": "2090-01-01"}, "target_date", "60 years"),
        ({"target_date": "2033-02-30"}, "target_date", "not a date"),
        ({"current_savings": 60000}, "target_amount", "already reach"),
        ({"target_amount": "6.000"}, "target_amount", "could mean"),
        ({"target_amount": 0}, "target_amount", "more than zero"),
        ({"target_amount": "1e99"}, "target_amount", "not an amount"),
        ({"target_amount": "9" * 20}, "target_amount", "too large"),
        ({"currency": "EUX"}, "currency", "unknown currency"),
        ({"currency": "JPY", "target_amount": "600.5"}, "target_amount", "no decimals"),
        ({"monthly_income": 0}, "monthly_income", "more than zero"),
    ],
)
def test_nonsense_is_refused_by_field(change, field: str, words: str) -> None:
    result = SKILL.execute(**PLAN | change)
    assert result.success is False
    assert [problem["field"] for problem in result.data["problems"]] == [field]
    assert words in result.message


def test_without_as_of_the_plan_starts_today() -> None:
    plan = {key: value for key, value in PLAN.items() if key != "as_of"} | {"target_date": "2085-01-01"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", SKILL.execute(**plan).data["goal"]["start"])


def test_sample_goals_are_labelled_reproducible_and_all_accepted() -> None:
    whole = json.loads((HERE / "fixtures" / "sample_goals.json").read_text(encoding="utf-8"))
    assert "Sample data" in whole["label"]
    assert whole["goals"] == SKILL.module("scripts.make_fixtures").sample_goals()
    for goal in whole["goals"]:
        assert SKILL.execute(**goal).success is True


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("10 000", "GBP", 1_000_000),
        ("10\u202f000,50", "EUR", 1_000_050),
        ("2,500", "USD", 250_000),
        ("2,500.5", "USD", 250_050),
        ("2.500,5", "EUR", 250_050),
        ("1.234.567", "EUR", 123_456_700),
        ("1,00,000", "INR", 10_000_000),
        ("10k", "JPY", 10_000),
        ("1.5m", "EUR", 150_000_000),
        ("1.234k", "EUR", 123_400),
        ("0.125", "KWD", 125),
        ("-3", "EUR", -300),
        (2500.125, "KWD", 2_500_125),
        ("7.10", "JPY", None),
        ("1.000", "EUR", None),
        ("1,2,3", "EUR", None),
        ("1,23", "EUR", 123),
        ("12 34", "EUR", None),
        ("", "EUR", None),
        ("ten", "EUR", None),
        (float("nan"), "EUR", None),
        ("12.345,678.9", "EUR", None),
    ],
)
def test_amounts_as_people_write_them(text, currency: str, minor: int | None) -> None:
    if minor is None:
        with pytest.raises(MONEY.MoneyError):
            MONEY.Money.parse(text, currency)
    else:
        assert MONEY.Money.parse(text, currency).minor == minor


def test_money_prints_adds_exchanges_and_never_mixes() -> None:
    money = MONEY.Money
    assert str(money(123456789, "EUR")) == "1,234,567.89 EUR"
    assert str(money(-5, "KWD")) == "-0.005 KWD"
    assert str(money(1234, "JPY")) == "1,234 JPY"
    assert money(1, "EUR") + money(2, "EUR") - money(5, "EUR") == money(-2, "EUR")
    with pytest.raises(MONEY.MoneyError):
        money(1, "EUR") + money(1, "USD")
    with pytest.raises(TypeError):
        money(1.5, "EUR")
    made = random.Random(3)
    for _ in range(500):
        minor, top, bottom = made.randrange(-(10**9), 10**9), made.randrange(1, 10**6), made.randrange(1, 10**4)
        exact = Fraction(minor, 100) * Fraction(top, bottom)
        assert money(minor, "EUR").exchanged(top, bottom, "JPY").minor == round(exact)
        assert money(minor, "EUR").exchanged(top, bottom, "KWD").minor == round(exact * 1000)
