"""What a result must be: paths into it, and operators on what is found there."""

from __future__ import annotations

import json
import re
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

ROOTS = ("success", "message", "data", "confidence")
DEFAULT_RELATIVE_TOLERANCE = 1e-6
MATCH_SECONDS = 5.0
_MATCH = "import json, re, sys; pattern, text = json.load(sys.stdin); sys.exit(re.search(pattern, text) is None)"


class ExpectationError(ValueError):
    """An expectation that cannot be checked: an unknown path or operator, or a wrong operand."""


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


class Expectations:
    """Paths such as `data.items.0.name`, each with a plain value (equal to it) or operators that must all hold.

    Raises:
        ExpectationError: On construction, so that a wrong case is found before anything runs.
    """

    __slots__ = ("_checks",)

    def __init__(self, expect: Mapping[str, Any]) -> None:
        self._checks = [
            (path, operator, operand)
            for path, wanted in expect.items()
            for operator, operand in _operators(path, wanted).items()
        ]

    def failures(self, result: Mapping[str, Any]) -> list[str]:
        """A sentence for each expectation that does not hold."""
        return [said for check in self._checks if (said := _failure(result, *check))]


def _operators(path: str, wanted: Any) -> dict[str, Any]:
    if path.partition(".")[0] not in ROOTS:
        raise ExpectationError(f"unknown path {path!r} in `expect`; a path begins with {', '.join(ROOTS)}")
    if not isinstance(wanted, dict):
        return {"eq": wanted}
    for operator, operand in wanted.items():
        if operator not in OPERATORS:
            known = ", ".join(OPERATORS)
            raise ExpectationError(
                f"unknown operator {operator!r} at {path!r}; known: {known} (to compare with an object, use eq)"
            )
        OPERAND_CHECKS.get(operator, _any)(path, operator, operand)
    if not wanted:
        raise ExpectationError(f"no operator at {path!r}; to compare with an empty object, use eq")
    return wanted


def _find(result: Any, path: str) -> Any:
    found = result
    for step in path.split("."):
        if isinstance(found, list | tuple) and step.isdecimal() and len(step) < 10 and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return MISSING
    return found


def _failure(result: Any, path: str, operator: str, operand: Any) -> str:
    """What speaks against one expectation; "" when it holds."""
    actual = _find(result, path)
    try:
        if _holds(operator, actual, operand):
            return ""
    except subprocess.TimeoutExpired:
        return (
            f"{path}: matching {shortened(operand)} took longer than {MATCH_SECONDS:g} s on {shortened(actual)}; "
            "write the pattern without a repeat inside a repeat, such as (a+)+"
        )
    return f"{path}: expected {_phrase(operator, operand)}, got {shortened(actual)}"


def _holds(operator: str, actual: Any, operand: Any) -> bool:
    if actual is MISSING and operator != "exists":
        return False
    return OPERATORS[operator](actual, operand)


def _phrase(operator: str, operand: Any) -> str:
    if operator == "exists":
        return "it to be there" if operand else "it to be absent"
    return f"{operator} {shortened(operand)}"


def shortened(value: Any) -> str:
    """A value as messages show it, cut where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} too deep to show"
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def _equal(actual: Any, wanted: Any) -> bool:
    # JSON's true is not 1, whatever Python says.
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    if isinstance(actual, dict) and isinstance(wanted, dict):
        return actual.keys() == wanted.keys() and all(_equal(actual[key], wanted[key]) for key in actual)
    if isinstance(actual, list | tuple) and isinstance(wanted, list | tuple):
        return len(actual) == len(wanted) and all(map(_equal, actual, wanted))
    return actual == wanted


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(actual: Any, operand: Any) -> bool:
        comparable = (_number(actual) and _number(operand)) or (isinstance(actual, str) and isinstance(operand, str))
        return comparable and compare(actual, operand)

    return holds


def _contains(actual: Any, operand: Any) -> bool:
    if isinstance(actual, str):
        parts = operand if isinstance(operand, list) else [operand]
        return all(isinstance(part, str) and part in actual for part in parts)
    return isinstance(actual, list | tuple | dict) and any(_equal(item, operand) for item in actual)


def _approx(actual: Any, operand: Any) -> bool:
    terms = operand if isinstance(operand, dict) else {"value": operand}
    relative = terms.get("rel", 0.0 if "abs" in terms else DEFAULT_RELATIVE_TOLERANCE)
    try:
        tolerance = max(terms.get("abs", 0.0), relative * abs(terms["value"]))
        return _number(actual) and abs(actual - terms["value"]) <= tolerance
    except OverflowError:  # A whole number beyond all floats.
        return _equal(actual, terms["value"])


def _matches(actual: Any, operand: Any) -> bool:
    """In a process of its own: a pattern can go on for ever, and nothing else can stop it."""
    if not isinstance(actual, str):
        return False
    asked = json.dumps([operand, actual]).encode()
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _MATCH], input=asked, timeout=MATCH_SECONDS, check=False)
    return done.returncode == 0


def _length(actual: Any, operand: Any) -> bool:
    if not isinstance(actual, str | list | tuple | dict):
        return False
    terms = operand if isinstance(operand, dict) else {"eq": operand}
    return all(OPERATORS[operator](len(actual), wanted) for operator, wanted in terms.items())


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "ne": lambda actual, operand: not _equal(actual, operand),
    "lt": _ordered(lambda actual, operand: actual < operand),
    "lte": _ordered(lambda actual, operand: actual <= operand),
    "gt": _ordered(lambda actual, operand: actual > operand),
    "gte": _ordered(lambda actual, operand: actual >= operand),
    "contains": _contains,
    "matches": _matches,
    "in": lambda actual, operand: any(_equal(actual, choice) for choice in operand),
    "approx": _approx,
    "exists": lambda actual, operand: (actual is not MISSING) is operand,
    "length": _length,
}


def _refuse(path: str, operator: str, operand: Any, wanted: str) -> None:
    raise ExpectationError(f"{operator} at {path!r} is given {shortened(operand)}; it takes {wanted}")


def _any(path: str, operator: str, operand: Any) -> None:
    """Accept every operand."""


def _orderable(path: str, operator: str, operand: Any) -> None:
    if not _number(operand) and not isinstance(operand, str):
        _refuse(path, operator, operand, "a number or a text")


def _pattern(path: str, operator: str, operand: Any) -> None:
    try:
        re.compile(operand)
    except (re.error, TypeError, RecursionError, OverflowError):
        _refuse(path, operator, operand, "a regular expression")


def _choices(path: str, operator: str, operand: Any) -> None:
    if not isinstance(operand, list):
        _refuse(path, operator, operand, "a list")


def _target(path: str, operator: str, operand: Any) -> None:
    terms = operand if isinstance(operand, dict) else {"value": operand}
    if "value" not in terms or not terms.keys() <= {"value", "abs", "rel"} or not all(map(_number, terms.values())):
        _refuse(path, operator, operand, 'a number, or {"value": …, "abs": …, "rel": …}')


def _truth(path: str, operator: str, operand: Any) -> None:
    if not isinstance(operand, bool):
        _refuse(path, operator, operand, "true or false")


def _count(path: str, operator: str, operand: Any) -> None:
    terms = operand if isinstance(operand, dict) else {"eq": operand}
    sizes = ("eq", "ne", "lt", "lte", "gt", "gte")
    if not terms or not all(name in sizes and type(size) is int for name, size in terms.items()):
        _refuse(path, operator, operand, f"a whole number, or an object of {' '.join(sizes)}")


OPERAND_CHECKS: dict[str, Callable[[str, str, Any], None]] = {
    "lt": _orderable,
    "lte": _orderable,
    "gt": _orderable,
    "gte": _orderable,
    "matches": _pattern,
    "in": _choices,
    "approx": _target,
    "exists": _truth,
    "length": _count,
}
