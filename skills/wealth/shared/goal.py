"""A savings goal: what for, how much, by when, and how much risk its owner can bear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shared.money import Money


class GoalType(StrEnum):
    """What the money is for."""

    EMERGENCY_FUND = "emergency_fund"
    HOUSE = "house"
    EDUCATION = "education"
    RETIREMENT = "retirement"
    TRAVEL = "travel"
    WEDDING = "wedding"
    OTHER = "other"


class RiskTolerance(StrEnum):
    """How much ups and downs the owner says to bear."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Goal:
    """An amount by a date. All amounts are of one currency; `start` lies before `target_date`.

    Args:
        savings: What is there already.
        monthly: What is put aside at each month's end.
        income: The owner's monthly net income; None when not told.
    """

    type: GoalType
    name: str
    target: Money
    savings: Money
    monthly: Money
    start: date
    target_date: date
    tolerance: RiskTolerance
    income: Money | None = None

    @property
    def months(self) -> int:
        """Whole months from the start to the target date: how many contributions fit."""
        months = (self.target_date.year - self.start.year) * 12 + self.target_date.month - self.start.month
        return months - (1 if self.target_date.day < self.start.day else 0)
