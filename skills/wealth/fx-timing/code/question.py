"""From a message and metadata to amount, pair and day, or to what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.money import DECIMALS_BY_CURRENCY, Money, MoneyError

SYMBOLS = {"€": "EUR", "£": "GBP", "₹": "INR"}
NUMBER = r"[+-]?\d(?:[\d.,\u00a0\u202f ']*\d)?(?:[km]\b)?"
SYMBOL_THEN_AMOUNT = re.compile(rf"([{''.join(SYMBOLS)}])\s*({NUMBER})", re.IGNORECASE)
AMOUNT_THEN_CODE = re.compile(rf"({NUMBER})\s*([A-Za-z]{{3}}\b|[{''.join(SYMBOLS)}])", re.IGNORECASE)
CODE_THEN_AMOUNT = re.compile(rf"\b([A-Z]{{3}})\s*({NUMBER})")
TARGET = re.compile(r"(?:\b(?:to|in|into|for)|->|→|/)\s*([A-Za-z]{3})\b")
CODE = re.compile(r"\b[A-Z]{3}\b")
DAY = re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}\b")


class QuestionError(Exception):
    """The question cannot be asked.

    Attributes:
        reason: `missing_argument`, `invalid_amount`, `invalid_date`, `unknown_currency` or `same_currency`.
        field: The argument.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Question:
    """What to convert. `day` None means the latest fixing."""

    amount: Money
    target: str
    day: date | None


def read_question(message: str, metadata: Mapping[str, Any]) -> Question:
    """Read the arguments; metadata wins over the message.

    Raises:
        QuestionError: Something is missing or wrong.
    """
    given = _from_message(message) | {key: value for key, value in metadata.items() if value not in (None, "")}
    for field in ("amount", "from", "to"):
        if field not in given:
            raise QuestionError("missing_argument", field, f"{field!r} is missing; ask like '10 000 GBP to INR'")

    sold, bought = str(given["from"]).strip().upper(), str(given["to"]).strip().upper()
    if sold == bought:
        raise QuestionError("same_currency", "to", f"{sold} to {bought} is the same currency; name two different ones")
    return Question(_amount(given["amount"], sold), _known(bought, "to"), _day(given.get("date")))


def _known(currency: str, field: str) -> str:
    if currency not in DECIMALS_BY_CURRENCY:
        message = f"unknown currency {currency!r}; use a three-letter ISO code such as EUR, GBP or INR"
        raise QuestionError("unknown_currency", field, message)
    return currency


def _amount(value: Any, currency: str) -> Money:
    _known(currency, "from")
    try:
        amount = Money.parse(value, currency)
    except MoneyError as problem:
        raise QuestionError("invalid_amount", "amount", str(problem)) from None
    if amount.minor <= 0:
        raise QuestionError("invalid_amount", "amount", f"the amount is {amount}; it must be more than zero")
    return amount


def _day(value: Any) -> date | None:
    if value is None or str(value).strip().lower() in ("latest", "now", "today"):
        return None
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        raise QuestionError("invalid_date", "date", f"{value!r} is not a date; write it as YYYY-MM-DD") from None


def _from_message(message: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if day := DAY.search(message):
        found["date"] = day[0]
    rest = DAY.sub(" ", message)
    amount, sold, rest = _amount_and_code(rest)
    if amount is not None and sold is not None:
        found |= {"amount": amount, "from": sold}
    target = TARGET.search(rest)
    if target and (target[1].isupper() or target[1].upper() in DECIMALS_BY_CURRENCY):
        found["to"] = target[1].upper()
    elif other := next((code for code in CODE.findall(rest) if code in DECIMALS_BY_CURRENCY), None):
        found["to"] = other
    return found


def _amount_and_code(text: str) -> tuple[str | None, str | None, str]:
    """The first amount with its currency, and the text without them."""
    if match := SYMBOL_THEN_AMOUNT.search(text):
        return match[2], SYMBOLS[match[1]], text.replace(match[0], " ", 1)
    for match in AMOUNT_THEN_CODE.finditer(text):
        code = SYMBOLS.get(match[2], match[2].upper())
        if match[2].isupper() or code in DECIMALS_BY_CURRENCY:
            return match[1], code, text.replace(match[0], " ", 1)
    if match := CODE_THEN_AMOUNT.search(text):
        return match[2], match[1], text.replace(match[0], " ", 1)
    return None, None, text
