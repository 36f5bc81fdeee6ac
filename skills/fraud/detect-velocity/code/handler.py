"""Score how unusual the speed of a customer's transactions is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from benign import benign_reasons
from signals import combine, signals, weigh
from transactions import (
    Baseline,
    Transaction,
    TransactionsError,
    read_baseline,
    read_time,
    read_transactions,
    split,
)

from aspora_sdk import SkillContext, SkillResult, skill_handler

LEVELS = ((0.9, "critical"), (0.7, "high"), (0.5, "elevated"), (0.0, "normal"))
CONFIDENCE = {"given": 0.9, "learned": 0.8, "default": 0.6}
EMPTY_CONFIDENCE = 0.3
TOLD_SIGNAL = 0.2
MAX_IDS = 50
PHRASES = {
    "rate": "far more transactions than usual",
    "burst": "many within one minute",
    "escalation": "amounts that rise step by step",
    "merchants": "many unknown merchants",
    "amounts": "an unusually large amount",
}


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    """Answer with the score and its signals, or with every problem in the transactions."""
    metadata = context.input.metadata
    try:
        transactions = read_transactions(metadata.get("transactions"))
        as_of = _as_of(metadata.get("as_of"), transactions)
        history, recent = split(transactions, as_of) if as_of else ([], [])
        baseline = read_baseline(metadata.get("baseline"), history)
    except TransactionsError as problem:
        message = f"These transactions cannot be scored: {problem}."
        return SkillResult(False, message, {"problems": problem.problems}, 1.0)
    benign = benign_reasons(recent, history)
    found = signals(weigh(recent, benign), baseline)
    score = round(combine(found), 4)
    level = next(name for floor, name in LEVELS if score >= floor)
    context.log.info("velocity scored", score=score, level=level, transactions=len(recent), benign=len(benign))
    data = {
        "velocity_score": score,
        "level": level,
        "signals": {name: round(value, 4) for name, value in found.items()},
        "as_of": as_of.isoformat() if as_of else None,
        "scored": len(recent),
        "transaction_ids": [item.id for item in recent[-MAX_IDS:]],
        "set_apart": [{"id": id, "why": why} for id, why in benign.items()],
        "history": len(history),
        "baseline": _baseline_data(baseline),
    }
    confidence = CONFIDENCE[baseline.source] if recent else EMPTY_CONFIDENCE
    return SkillResult(True, _message(score, level, found, recent, benign, baseline), data, confidence)


def _as_of(value: Any, transactions: list[Transaction]) -> datetime | None:
    """The given moment, else the newest transaction's; None without any."""
    if value is None:
        return transactions[-1].at if transactions else None
    problems: list[str] = []
    as_of = read_time(value, "as_of", problems)
    if problems:
        raise TransactionsError(problems)
    return as_of


def _baseline_data(baseline: Baseline) -> dict[str, Any]:
    return {
        "source": baseline.source,
        "transactions_per_day": round(baseline.transactions_per_day, 3),
        "typical_amount_minor": round(baseline.typical_amount_minor),
        "merchants_per_day": round(baseline.merchants_per_day, 3),
        "known_merchants": len(baseline.known_merchants),
    }


def _message(
    score: float,
    level: str,
    found: dict[str, float],
    recent: list[Transaction],
    benign: dict[str, str],
    baseline: Baseline,
) -> str:
    if not recent:
        return "No transactions in the hour to score; velocity is normal (0.00)."
    strongest = sorted((name for name, value in found.items() if value >= TOLD_SIGNAL), key=lambda name: -found[name])
    why = f": {', '.join(PHRASES[name] for name in strongest)}" if strongest else ""
    parts = [f"Velocity is {level} ({score:.2f}) over {len(recent)} transactions in an hour{why}."]
    if benign:
        parts.append(f"{len(benign)} look ordinary ({', '.join(sorted(set(benign.values())))}) and count little.")
    if baseline.source == "default":
        parts.append("There is no history of this customer; the score rests on a default and needs a second look.")
    return " ".join(parts)
