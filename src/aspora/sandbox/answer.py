"""From a handler's JSON-RPC answer to a result or a failure, after the handler protocol."""

import math
from collections.abc import Mapping
from typing import Any, cast

from aspora.sandbox.interface import Failure, FailureReason, Json, SpawnFailed
from aspora.sandbox.jsonrpc import Answer

REASON_BY_CODE: Mapping[int, FailureReason] = {
    -32000: FailureReason.HANDLER_RAISED,
    -32001: FailureReason.HANDLER_LOAD_FAILED,
    -32002: FailureReason.INVALID_RESULT,
}
LIMITS_NOT_SET_CODE = -32003
RESULT_FIELDS = frozenset({"success", "message", "data", "confidence"})
MAX_MESSAGE_CHARS = 4000
MAX_TRACEBACK_CHARS = 8192


def read_answer(answer: Answer) -> Mapping[str, Json] | Failure:
    """The handler's result, all four fields set; or why it counts as a failure.

    Raises:
        SpawnFailed: The process was not made ready for the handler.
    """
    if answer.error is not None:
        return _read_error(answer.error)
    if problem := result_problem(answer.result):
        return Failure(FailureReason.INVALID_RESULT, f"the handler's result {problem}")
    result = cast("dict[str, Json]", answer.result)
    return {"data": {}, "confidence": None, **result}


def result_problem(result: object) -> str | None:
    """What keeps a JSON value from being a skill result; None when nothing does."""
    if not isinstance(result, dict):
        return "is not an object"
    fields = cast("dict[str, Any]", result)
    if unknown := sorted(set(fields) - RESULT_FIELDS):
        return f"has the unknown field {unknown[0]!r}; known: {', '.join(sorted(RESULT_FIELDS))}"
    if not isinstance(fields.get("success"), bool):
        return "has no success that is true or false"
    if not isinstance(fields.get("message"), str):
        return "has no message that is text"
    if not isinstance(fields.get("data", {}), dict):
        return "has data that is not an object"
    return _confidence_problem(fields.get("confidence"))


def _confidence_problem(confidence: object) -> str | None:
    if confidence is None:
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return "has a confidence that is not a number"
    return None if 0 <= confidence <= 1 and math.isfinite(confidence) else "has a confidence that is not in 0..1"


def _read_error(error: Mapping[str, Any]) -> Failure:
    message = str(error.get("message", ""))[:MAX_MESSAGE_CHARS]
    code = error.get("code")
    if code == LIMITS_NOT_SET_CODE:
        raise SpawnFailed(f"the job's process could not limit itself: {message!r}; find out why: aspora doctor")
    reason = REASON_BY_CODE.get(code) if isinstance(code, int) else None
    if reason is None:
        return Failure(FailureReason.PROTOCOL_ERROR, f"the handler answered with error code {code!r}: {message}")
    data: Any = error.get("data")
    details = _read_details(cast("dict[str, Any]", data) if isinstance(data, dict) else {})
    if details.get("type") == "MemoryError":
        reason = FailureReason.MEMORY_EXCEEDED
        message = "the handler ran out of memory; use less of it, or raise runtime.memory"
    return Failure(reason, message, details)


def _read_details(data: Mapping[str, Any]) -> dict[str, Json]:
    details: dict[str, Json] = {}
    for name, max_chars in (("type", 200), ("reason", 200), ("traceback", MAX_TRACEBACK_CHARS)):
        value = data.get(name)
        if isinstance(value, str):
            details[name] = value[-max_chars:]
    return details
