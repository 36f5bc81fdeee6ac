"""What a handler returns, and the one place that decides whether it may leave the process."""

from __future__ import annotations

from aspora_sdk.errors import InvalidResultError
from aspora_sdk.values import Value, json_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FIELDS = ("success", "message", "data", "confidence")


class SkillResult(Value):
    """A handler's answer.

    Args:
        success: Whether the skill did what was asked. A clear refusal ("no rate before 2009") is `success=False`; a
            defect is an exception.
        message: What the user reads.
        data: The same answer for programs: a JSON object.
        confidence: How sure the skill is, 0 to 1; None says nothing about it.
    """

    __slots__ = FIELDS

    success: bool
    message: str
    data: dict[str, Any]
    confidence: float | None

    def __init__(
        self, success: bool, message: str, data: Mapping[str, Any] | None = None, confidence: float | None = None
    ) -> None:
        self._assign(success=success, message=message, data={} if data is None else data, confidence=confidence)


def to_wire(result: object) -> dict[str, Any]:
    """Turn a handler's return value into the wire's result.

    Raises:
        InvalidResultError: It is not a `SkillResult`, or a field is wrong; the message names the first such field.
    """
    if not isinstance(result, SkillResult):
        raise InvalidResultError(f"the handler returned {_kind(result)}; return a SkillResult")
    if problem := _problem(result):
        raise InvalidResultError(f"SkillResult: {problem}")
    return {name: getattr(result, name) for name in FIELDS}


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _problem(result: SkillResult) -> str | None:
    # The annotations promise these types; handlers are not all type-checked.
    if not isinstance(result.success, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"success is {_kind(result.success)}; it must be True or False"
    if not isinstance(result.message, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"message is {_kind(result.message)}; it must be text"
    if not isinstance(result.data, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        return f"data is {_kind(result.data)}; it must be a dict"
    return (
        json_problem(result.message, "message")
        or json_problem(result.data, "data")
        or _confidence_problem(result.confidence)
    )


def _confidence_problem(confidence: object) -> str | None:
    if confidence is None:
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return f"confidence is {_kind(confidence)}; it must be None or a number from 0 to 1"
    return None if 0 <= confidence <= 1 else f"confidence is {confidence!r}; it must be None or a number from 0 to 1"
