"""Check a savings goal, project it, score it and say what it would take."""

from __future__ import annotations

from datetime import UTC, datetime

from reading import read_goal
from shared.goal import Goal
from shared.money import Money
from shared.projection import (
    ASSUMPTIONS,
    INFLATION_BP,
    in_todays_money,
    months_to_target,
    project,
    required_monthly,
    scenario_returns_bp,
)
from shared.risk import RiskScore, score_goal

from aspora_sdk import SkillContext, SkillResult, skill_handler

COURSES = ("cautious", "expected", "favourable")
AFFORDABLE_SHARE_OF_INCOME_PERCENT = 50
NOT_KNOWN = (
    "The assumed returns are planning figures, not forecasts.",
    "Taxes, and costs beyond those in the assumptions, are not considered.",
    "Contributions are taken as constant.",
)


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    """Answer with the checked goal and its figures, or with every problem in it."""
    goal, problems = read_goal(context.input.user_message, context.input.metadata, today=datetime.now(UTC).date())
    if goal is None:
        context.log.info("goal refused", problems=len(problems))
        told = "; ".join(problem["message"] for problem in problems)
        return SkillResult(False, f"This is not a goal yet: {told}.", {"problems": problems}, 1.0)
    score = score_goal(goal)
    data = _figures(goal, score)
    context.log.info("goal created", type=goal.type, band=score.band, status=data["status"])
    return SkillResult(True, _message(goal, score, data), data, 0.9)


def _figures(goal: Goal, score: RiskScore) -> dict[str, object]:
    returns_bp = scenario_returns_bp(ASSUMPTIONS[score.band], goal.months)
    values = {name: project(goal, annual_bp) for name, annual_bp in returns_bp.items()}
    required = required_monthly(goal, returns_bp["expected"])
    required_cautious = required_monthly(goal, returns_bp["cautious"])
    return {
        "goal": {
            "type": goal.type,
            "name": goal.name,
            "target": goal.target.as_data(),
            "current_savings": goal.savings.as_data(),
            "monthly_contribution": goal.monthly.as_data(),
            "start": goal.start.isoformat(),
            "target_date": goal.target_date.isoformat(),
            "months": goal.months,
            "risk_tolerance": goal.tolerance,
        },
        "risk": {"score": score.score, "factors": score.factors, "band": score.band, "caps": list(score.caps)},
        "status": _status(goal, values),
        "projection": {
            name: {
                "annual_return_bp": returns_bp[name],
                "value": value.as_data(),
                "in_todays_money": in_todays_money(value, goal.months).as_data(),
                "difference_to_target": (value - goal.target).as_data(),
            }
            for name, value in values.items()
        },
        "required_monthly": {
            "expected": required.as_data(),
            "cautious": required_cautious.as_data(),
            "affordable": _affordable(goal, required),
        },
        "months_at_this_pace": months_to_target(goal, returns_bp["expected"]),
        "assumptions": {
            "volatility_bp": ASSUMPTIONS[score.band].volatility_bp,
            "inflation_bp": INFLATION_BP,
            "source": "references/assumptions.md",
        },
        "not_known": list(NOT_KNOWN),
    }


def _status(goal: Goal, values: dict[str, Money]) -> str:
    if values["expected"] < goal.target:
        return "short"
    return "tight" if values["cautious"] < goal.target else "on_track"


def _affordable(goal: Goal, required: Money) -> bool | None:
    """Whether the needed contribution is at most half of the income; None without an income."""
    if goal.income is None:
        return None
    return required.minor * 100 <= goal.income.minor * AFFORDABLE_SHARE_OF_INCOME_PERCENT


def _message(goal: Goal, score: RiskScore, data: dict[str, object]) -> str:
    required = data["required_monthly"]
    percent = data["projection"]["expected"]["annual_return_bp"] / 100
    cautious, expected, favourable = (data["projection"][name]["value"]["text"] for name in COURSES)
    parts = [
        f"Goal {goal.name!r}: {goal.target} by {goal.target_date.isoformat()} ({goal.months} months).",
        f"Risk score {score.score} of 100, suitable band: {score.band.replace('_', ' ')}.",
        *(f"Held down because {why}." for why in score.caps),
        f"With {goal.monthly} a month you would expect {expected} at {percent:.2f} % a year "
        f"(cautious {cautious}, favourable {favourable}).",
        _verdict(data, required["expected"]["text"], required["cautious"]["text"]),
    ]
    if required["affordable"] is False:
        parts.append("That is more than half of the income; a later date or a smaller target would be kinder.")
    parts.append("This is a projection under stated assumptions, not a promise.")
    return " ".join(parts)


def _verdict(data: dict[str, object], expected: str, cautious: str) -> str:
    if data["status"] == "on_track":
        return "The plan is on track, even on the cautious course."
    if data["status"] == "tight":
        return f"The plan is tight: it works as expected, but a cautious course would need {cautious} a month."
    months = data["months_at_this_pace"]
    pace = "would not get there in a hundred years" if months is None else f"would take {months} months"
    return f"The plan is short: reaching the target needs {expected} a month; today's pace {pace}."
