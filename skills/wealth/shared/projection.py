"""What a goal's savings grow to, month by month, under stated assumptions.

Each month: interest on the balance, rounded half to even to the minor unit, then the contribution. The monthly rate is
the twelfth root of the annual one, so that twelve months give exactly the annual rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from shared.goal import Goal
from shared.money import Money
from shared.risk import Band

MAX_MONTHS = 100 * 12
MATH = Context(prec=34, rounding=ROUND_HALF_EVEN)
INFLATION_BP = 200


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a band is assumed to earn, a year, after costs: planning figures, not forecasts.

    Args:
        return_bp: Mean annual return in basis points.
        volatility_bp: Standard deviation of annual returns in basis points.
    """

    return_bp: int
    volatility_bp: int


ASSUMPTIONS = {
    Band.CAPITAL_PRESERVATION: Assumptions(return_bp=150, volatility_bp=50),
    Band.CONSERVATIVE: Assumptions(return_bp=250, volatility_bp=400),
    Band.BALANCED: Assumptions(return_bp=400, volatility_bp=800),
    Band.GROWTH: Assumptions(return_bp=525, volatility_bp=1200),
    Band.AGGRESSIVE: Assumptions(return_bp=600, volatility_bp=1600),
}


def scenario_returns_bp(assumptions: Assumptions, months: int) -> dict[str, int]:
    """Annual returns for a cautious, an expected and a favourable course.

    Cautious and favourable lie one standard deviation of the *average* annual return away, which shrinks with the
    square root of the years; below a year it is not stretched further.
    """
    years = max(Decimal(1), Decimal(months) / 12)
    spread = int((assumptions.volatility_bp / years.sqrt(MATH)).to_integral_value(ROUND_HALF_EVEN))
    mean = assumptions.return_bp
    return {"cautious": mean - spread, "expected": mean, "favourable": mean + spread}


def monthly_rate(annual_bp: int) -> Decimal:
    """The monthly rate that compounds to the annual one. Above -100 % a year."""
    return MATH.power(1 + Decimal(annual_bp) / 10_000, Decimal(1) / 12) - 1


def final_minor(savings_minor: int, monthly_minor: int, months: int, rate: Decimal) -> int:
    """The balance in minor units after so many months."""
    balance = savings_minor
    for _ in range(months):
        balance += int((balance * rate).to_integral_value(ROUND_HALF_EVEN)) + monthly_minor
    return balance


def project(goal: Goal, annual_bp: int) -> Money:
    """What the goal's savings and contributions are worth on its date."""
    return Money(
        final_minor(goal.savings.minor, goal.monthly.minor, goal.months, monthly_rate(annual_bp)), goal.target.currency
    )


def required_monthly(goal: Goal, annual_bp: int) -> Money:
    """The least monthly contribution, to the minor unit, that reaches the target; zero when the savings alone do."""
    rate, months = monthly_rate(annual_bp), goal.months
    growth = MATH.power(1 + rate, months)
    annuity = (growth - 1) / rate if rate else Decimal(months)
    guess = max(0, int((goal.target.minor - goal.savings.minor * growth) / annuity))

    def reaches(minor: int) -> bool:
        return final_minor(goal.savings.minor, minor, months, rate) >= goal.target.minor

    # The formula does not round each month as an account does; a step or two corrects it.
    while not reaches(guess):
        guess += 1
    while guess > 0 and reaches(guess - 1):
        guess -= 1
    return Money(guess, goal.target.currency)


def months_to_target(goal: Goal, annual_bp: int) -> int | None:
    """How many months the planned contribution needs; None when a hundred years are not enough."""
    rate, balance = monthly_rate(annual_bp), goal.savings.minor
    for month in range(MAX_MONTHS + 1):
        if balance >= goal.target.minor:
            return month
        balance += int((balance * rate).to_integral_value(ROUND_HALF_EVEN)) + goal.monthly.minor
    return None


def in_todays_money(amount: Money, months: int) -> Money:
    """What a later amount buys at today's prices, under the assumed inflation."""
    deflator = MATH.power(1 + monthly_rate(INFLATION_BP), months)
    return Money(int((amount.minor / deflator).to_integral_value(ROUND_HALF_EVEN)), amount.currency)
