"""The answer in words."""

from __future__ import annotations

from math import floor, log10

from evidence import Evidence, Standing
from question import Question
from shared.money import Money

NOT_KNOWN = (
    "This compares with the past; it is not a forecast.",
    "Fees, spread and the rate a bank would deal at are not included: an ECB reference rate is not a dealing rate.",
    "Your deadline, your need for the money and your other holdings are not known.",
)
ADVICE = {
    "favourable": "Compared with the past, this is a favourable moment to sell {sold}; waiting would be a bet on more.",
    "unfavourable": (
        "Compared with the past, this is an unfavourable moment to sell {sold}. If nothing presses, selling in parts "
        "over some months limits regret; a lower rate may still follow."
    ),
    "no_clear_case": "The past makes no clear case for now or later; let the day on which you need the money decide.",
    "unknown": "There is too little history to weigh now against later.",
}


def answer(question: Question, converted: Money, rate: float, fixing_day: str, evidence: Evidence, verdict: str) -> str:
    """One paragraph: the conversion, the evidence, the verdict, and what is not known."""
    sold = question.amount.currency
    return " ".join(
        [
            f"{question.amount} is {converted} at the ECB reference rates of {fixing_day} "
            f"(1 {sold} = {digits(rate)} {question.target}).",
            *_earlier(question, fixing_day),
            *_evidence(evidence),
            ADVICE[verdict].format(sold=sold),
            *NOT_KNOWN[:2],
        ]
    )


def digits(rate: float) -> str:
    """Six significant digits, at least four decimals, no exponent."""
    return f"{rate:.{max(4, 5 - floor(log10(rate)))}f}"


def _earlier(question: Question, fixing_day: str) -> list[str]:
    if question.day is None or question.day.isoformat() == fixing_day:
        return []
    return [f"{question.day} has no fixing (weekend, holiday or gap); {fixing_day} is the last one before."]


def _evidence(evidence: Evidence) -> list[str]:
    sentences: list[str] = []
    known = {name: found for name, found in evidence.windows.items() if found.percentile is not None}
    if known:
        places = " and ".join(f"{_place(found)} of {name.replace('_', ' ')}" for name, found in known.items())
        sentences.append(f"That rate is higher than in {places}.")
    if evidence.trend.percent_per_30_days is not None:
        percent = evidence.trend.percent_per_30_days
        sentences.append(f"90-day trend: {evidence.trend.direction}, {percent:+.1f} % per 30 days.")
    if evidence.volatility.percent_a_year is not None:
        month = evidence.volatility.typical_month_percent
        sentences.append(
            f"Volatility {evidence.volatility.percent_a_year:.1f} % a year: a typical month moves it by about "
            f"{month:.1f} % either way."
        )
    return sentences


def _place(found: Standing) -> str:
    partly = "" if found.complete else f" since {found.since}"
    return f"{floor(found.percentile or 0)} % of the {found.fixings} fixings{partly}"
