"""From a message and metadata to a Goal, or to every problem in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

from shared.goal import Goal, GoalType, RiskTolerance
from shared.money import Money, MoneyError, decimals_of

MAX_MONTHS = 60 * 12
MAX_NAME_CHARS = 80
NUMBER = r"\d[\d.,  ']*\d[km]?|\d[km]?"
AMOUNT_THEN_CURRENCY = re.compile(rf"\b({NUMBER})\s*([A-Z]{{3}})\b")
CURRENCY_THEN_AMOUNT = re.compile(rf"\b([A-Z]{{3}})\s*({NUMBER})")
A_MONTH = re.compile(
    rf"({NUMBER})\s*(?:[A-Z]{{3}}\s*)?(?:a|per|every|each)\s+month|({NUMBER})\s*(?:[A-Z]{{3}}\s*)?monthly", re.I
)
BY_DATE = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")
WORDS_BY_TYPE = {
    GoalType.EMERGENCY_FUND: r"emergenc|rainy day",
    GoalType.HOUSE: r"\bhouse|\bhome\b|\bflat\b|apartment|down ?payment",
    GoalType.EDUCATION: r"education|universit|college|school|studies|tuition",
    GoalType.RETIREMENT: r"retire|pension",
    GoalType.TRAVEL: r"travel|holiday|vacation|\btrip\b",
    GoalType.WEDDING: r"wedding|marriage",
}
WORDS_BY_TOLERANCE = {
    RiskTolerance.LOW: r"\b(low|little|no) risk|\bsafe\b|\bcautious",
    RiskTolerance.MEDIUM: r"\b(medium|moderate) risk",
    RiskTolerance.HIGH: r"\bhigh risk|\baggressive",
}


class _Reader:
    """Collects values and problems field by field."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.problems: list[dict[str, str]] = []

    def refuse(self, field: str, message: str) -> None:
        self.problems.append({"field": field, "message": message})

    def choice(self, field: str, kinds: type[StrEnum], default: StrEnum | None) -> Any:
        value = self.given.get(field)
        if value is None and default is not None:
            return default
        known = ", ".join(kinds)
        if value is None:
            return self.refuse(field, f"{field} is missing; one of {known}")
        name = str(value).strip().lower().replace(" ", "_").replace("-", "_")
        if name not in list(kinds):
            return self.refuse(field, f"unknown {field} {value!r}; one of {known}")
        return kinds(name)

    def day(self, field: str, default: date | None) -> date | None:
        value = self.given.get(field)
        if value is None and default is not None:
            return default
        if value is None:
            return self.refuse(field, f"{field} is missing; write it as YYYY-MM-DD")
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            return self.refuse(field, f"{field} {value!r} is not a date; write it as YYYY-MM-DD")

    def currency(self) -> str | None:
        value = self.given.get("currency")
        if value is None:
            return self.refuse("currency", "currency is missing; a three-letter code such as EUR")
        try:
            decimals_of(str(value).upper())
        except MoneyError as problem:
            return self.refuse("currency", str(problem))
        return str(value).upper()

    def money(self, field: str, currency: str, *, least_minor: int, needed: bool = False) -> Money | None:
        value = self.given.get(field)
        if value is None:
            return self.refuse(field, f"{field} is missing; write it like 60,000") if needed else None
        try:
            money = Money.parse(value, currency)
        except MoneyError as problem:
            return self.refuse(field, f"{field}: {problem}")
        if money.minor < least_minor:
            word = "more than zero" if least_minor else "zero or more"
            return self.refuse(field, f"{field} is {money}; it must be {word}")
        return money


def read_goal(message: str, metadata: Mapping[str, Any], *, today: date) -> tuple[Goal | None, list[dict[str, str]]]:
    """The goal, or None with every problem as field and message. Metadata wins over the message."""
    reader = _Reader(
        {**_from_message(message), **{key: value for key, value in metadata.items() if value not in (None, "")}}
    )
    goal_type = reader.choice("goal_type", GoalType, None)
    tolerance = reader.choice("risk_tolerance", RiskTolerance, RiskTolerance.MEDIUM)
    start = reader.day("as_of", today)
    end = reader.day("target_date", None)
    currency = reader.currency()
    # Without a currency the amounts are still read, as euros, so that their problems are told too.
    unit = currency or "EUR"
    target = reader.money("target_amount", unit, least_minor=1, needed=True)
    savings = reader.money("current_savings", unit, least_minor=0)
    monthly = reader.money("monthly_contribution", unit, least_minor=0)
    income = reader.money("monthly_income", unit, least_minor=1)
    if reader.problems:
        return None, reader.problems
    zero = Money(0, unit)
    name = str(reader.given.get("name") or goal_type.replace("_", " "))[:MAX_NAME_CHARS]
    goal = Goal(goal_type, name, target, savings or zero, monthly or zero, start, end, tolerance, income)
    _check_whole(goal, reader)
    return (None, reader.problems) if reader.problems else (goal, [])


def _check_whole(goal: Goal, reader: _Reader) -> None:
    if goal.target_date <= goal.start:
        reader.refuse(
            "target_date", f"target_date {goal.target_date} is not after {goal.start}, the day the plan starts"
        )
    elif goal.months < 1:
        reader.refuse("target_date", f"target_date {goal.target_date} is less than a month after {goal.start}")
    elif goal.months > MAX_MONTHS:
        reader.refuse("target_date", f"target_date {goal.target_date} is more than 60 years away")
    if goal.target <= goal.savings:
        reader.refuse("target_amount", f"the savings of {goal.savings} already reach the target of {goal.target}")


def _from_message(message: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, words in (("goal_type", WORDS_BY_TYPE), ("risk_tolerance", WORDS_BY_TOLERANCE)):
        match = next((kind for kind, pattern in words.items() if re.search(pattern, message, re.IGNORECASE)), None)
        if match:
            found[field] = match
    if day := BY_DATE.search(message):
        found["target_date"] = day[1]
    rest = BY_DATE.sub(" ", message)
    if monthly := A_MONTH.search(rest):
        found["monthly_contribution"] = monthly[1] or monthly[2]
        rest = rest.replace(monthly[0], " ")
    if amount := AMOUNT_THEN_CURRENCY.search(rest):
        found |= {"target_amount": amount[1], "currency": amount[2]}
    elif amount := CURRENCY_THEN_AMOUNT.search(rest):
        found |= {"target_amount": amount[2], "currency": amount[1]}
    return found
