"""Convert at ECB reference rates, and weigh "now or later?" with evidence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from evidence import Evidence, gather
from question import Question, QuestionError, read_question
from rates import EURO, NoRateError, Pair, fixing_index, load_pair, manifest
from shared.money import Money
from verdict import confidence, judge
from wording import NOT_KNOWN, answer

from aspora_sdk import SkillContext, SkillResult, skill_handler

SOURCE = "European Central Bank, euro foreign exchange reference rates"


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    """Answer with the conversion and its evidence, or say why there is none."""
    try:
        question = read_question(context.input.user_message, context.input.metadata)
        index = fixing_index(question.amount.currency, question.target, question.day)
    except QuestionError as problem:
        return SkillResult(False, f"{problem}.", {"reason": problem.reason, "field": problem.field}, 1.0)
    except NoRateError as problem:
        context.log.info("no rate", reason=problem.reason)
        data = {"reason": problem.reason, "source": SOURCE, "data_end": manifest()["last_date"]}
        return SkillResult(False, f"No data: {problem}.", data, 1.0)
    pair = load_pair(question.amount.currency, question.target)
    converted = question.amount.exchanged(pair.bought[index], pair.sold[index], question.target)
    evidence = gather(pair, index)
    verdict = judge(evidence)
    context.log.info("converted", sold=question.amount.currency, bought=question.target, fixing=pair.days[index])
    return SkillResult(
        True,
        answer(question, converted, pair.rate(index), pair.days[index], evidence, verdict),
        _data(question, converted, pair, index) | _judged(evidence, verdict),
        confidence(verdict, evidence),
    )


def _data(question: Question, converted: Money, pair: Pair, index: int) -> dict[str, Any]:
    asked = question.day.isoformat() if question.day else None
    return {
        "amount": question.amount.as_data(),
        "converted": converted.as_data(),
        "rate": pair.rate(index),
        "fixings": _fixings(question, pair, index),
        "fixing_date": pair.days[index],
        "asked_date": asked,
        "fixing_is_earlier": asked not in (None, pair.days[index]),
        "history_since": pair.days[0],
        "data_end": manifest()["last_date"],
        "source": SOURCE,
    }


def _fixings(question: Question, pair: Pair, index: int) -> dict[str, float]:
    """Each currency's units for one euro, as published."""
    both = {question.amount.currency: pair.sold[index], question.target: pair.bought[index]}
    return {currency: millionths / 1_000_000 for currency, millionths in both.items() if currency != EURO}


def _judged(evidence: Evidence, verdict: str) -> dict[str, Any]:
    return {
        "percentiles": {name: asdict(found) for name, found in evidence.windows.items()},
        "trend": asdict(evidence.trend),
        "volatility": asdict(evidence.volatility),
        "verdict": verdict,
        "not_known": list(NOT_KNOWN),
    }
