"""From evidence to a verdict and the weight it bears. `references/method.md` gives the thresholds."""

from __future__ import annotations

from evidence import Evidence

CONFIDENCE = {"favourable": 0.5, "unfavourable": 0.5, "no_clear_case": 0.35, "unknown": 0.2}
LESS_CONFIDENCE = 0.1
TREND_AGAINST = {"favourable": "rising", "unfavourable": "falling"}


def judge(evidence: Evidence) -> str:
    """`favourable`, `unfavourable`, `no_clear_case` or `unknown`, for the one who sells."""
    year = evidence.windows["one_year"].percentile
    three_years = evidence.windows["three_years"].percentile
    if year is None:
        return "unknown"
    if year >= 70 and (three_years is None or three_years >= 60):
        return "favourable"
    if year <= 30 and (three_years is None or three_years <= 40):
        return "unfavourable"
    return "no_clear_case"


def confidence(verdict: str, evidence: Evidence) -> float:
    """How much weight the verdict bears, 0.2 to 0.5."""
    incomplete = verdict != "unknown" and not evidence.windows["three_years"].complete
    against = evidence.trend.direction == TREND_AGAINST.get(verdict)
    return round(CONFIDENCE[verdict] - LESS_CONFIDENCE * (incomplete + against), 2)
