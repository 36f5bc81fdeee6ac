"""The risk score of a goal, 0 (must not fall) to 100 (can ride out deep falls), and the band that suits it.

Four factors, each 0 to 100, weighted:

| factor | weight | why |
| --- | --- | --- |
| tolerance | 40 % | what the owner says to bear |
| horizon | 35 % | time heals falls: 10 points and 6 for each year, at most 90 |
| purpose | 15 % | some goals cannot be put off (an emergency) and some can (travel) |
| cushion | 10 % | savings as a share of the target: who has most of it already can bear a slower finish |

Caps then hold the band down, each with its reason: a near date, an emergency fund, a low or medium stated tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.goal import Goal, GoalType, RiskTolerance
from shared.money import divide_half_even


class Band(StrEnum):
    """A broad mix of risk, from least to most."""

    CAPITAL_PRESERVATION = "capital_preservation"
    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    GROWTH = "growth"
    AGGRESSIVE = "aggressive"


BANDS = list(Band)
BAND_FLOORS = {
    Band.CAPITAL_PRESERVATION: 0,
    Band.CONSERVATIVE: 25,
    Band.BALANCED: 45,
    Band.GROWTH: 65,
    Band.AGGRESSIVE: 85,
}
WEIGHTS_PERCENT = {"tolerance": 40, "horizon": 35, "purpose": 15, "cushion": 10}
TOLERANCE_POINTS = {RiskTolerance.LOW: 15, RiskTolerance.MEDIUM: 50, RiskTolerance.HIGH: 95}
PURPOSE_POINTS = {
    GoalType.EMERGENCY_FUND: 0,
    GoalType.EDUCATION: 35,
    GoalType.HOUSE: 40,
    GoalType.WEDDING: 40,
    GoalType.OTHER: 50,
    GoalType.TRAVEL: 60,
    GoalType.RETIREMENT: 75,
}
TOLERANCE_CAPS = {RiskTolerance.LOW: Band.CONSERVATIVE, RiskTolerance.MEDIUM: Band.GROWTH}
HORIZON_CAPS_MONTHS = ((24, Band.CAPITAL_PRESERVATION), (60, Band.CONSERVATIVE), (84, Band.BALANCED))


@dataclass(frozen=True, slots=True)
class RiskScore:
    """A score with all that led to it.

    Args:
        score: 0 to 100.
        factors: Each factor's points, 0 to 100, before weighting.
        band: The band after the caps.
        caps: Why the band is lower than the score alone would give; empty when it is not.
    """

    score: int
    factors: dict[str, int]
    band: Band
    caps: tuple[str, ...]


def score_goal(goal: Goal) -> RiskScore:
    """Score a goal and choose its band."""
    factors = {
        "tolerance": TOLERANCE_POINTS[goal.tolerance],
        "horizon": min(90, 10 + 6 * goal.months // 12),
        "purpose": PURPOSE_POINTS[goal.type],
        "cushion": min(100, 100 * max(0, goal.savings.minor) // goal.target.minor),
    }
    score = divide_half_even(sum(WEIGHTS_PERCENT[name] * points for name, points in factors.items()), 100)
    band = max((band for band in BANDS if BAND_FLOORS[band] <= score), key=BANDS.index)
    limits = [(limit, why) for limit, why in _limits(goal) if BANDS.index(limit) < BANDS.index(band)]
    lowest = min((limit for limit, _ in limits), key=BANDS.index, default=band)
    return RiskScore(score, factors, lowest, tuple(why for _, why in limits))


def _limits(goal: Goal) -> list[tuple[Band, str]]:
    limits: list[tuple[Band, str]] = []
    if goal.type is GoalType.EMERGENCY_FUND:
        limits.append((Band.CAPITAL_PRESERVATION, "an emergency fund must be there on any day"))
    near = next(((band, months) for months, band in HORIZON_CAPS_MONTHS if goal.months < months), None)
    if near:
        limits.append((near[0], f"the date is less than {near[1] // 12} years away, too near to wait out a fall"))
    if goal.tolerance in TOLERANCE_CAPS:
        limits.append((TOLERANCE_CAPS[goal.tolerance], f"the stated tolerance is {goal.tolerance}"))
    return limits
