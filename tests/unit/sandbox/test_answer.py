"""From a JSON-RPC answer to a result or a failure."""

from typing import Any

import pytest

from aspora.sandbox.answer import read_answer, result_problem
from aspora.sandbox.interface import Failure, FailureReason, SpawnFailed
from aspora.sandbox.jsonrpc import Answer

GOOD: dict[str, Any] = {"success": True, "message": "ok", "data": {"a": 1}, "confidence": 0.5}


def failed(error: dict[str, Any]) -> Failure:
    read = read_answer(Answer(error=error))
    assert isinstance(read, Failure)
    return read


def test_a_result_is_filled_up() -> None:
    expected = {"success": False, "message": "no", "data": {}, "confidence": None}
    assert read_answer(Answer(result={"success": False, "message": "no"})) == expected
    assert read_answer(Answer(result=GOOD)) == GOOD


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"success": 1}, "success"),
        ({"success": None}, "success"),
        ({"message": None}, "message"),
        ({"data": []}, "data"),
        ({"data": None}, "data"),
        ({"confidence": 1.01}, "confidence"),
        ({"confidence": True}, "confidence"),
        ({"confidence": "high"}, "confidence"),
        ({"extra": 1}, "extra"),
    ],
)
def test_other_shapes_are_named(change: dict[str, Any], word: str) -> None:
    problem = result_problem({**GOOD, **change})
    assert problem is not None
    assert word in problem


@pytest.mark.parametrize("result", [None, [], "text", 5])
def test_a_result_is_an_object(result: Any) -> None:
    assert result_problem(result) == "is not an object"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(-32000, FailureReason.HANDLER_RAISED), (-32001, FailureReason.HANDLER_LOAD_FAILED), (-32002, "InvalidResult")],
)
def test_codes_become_reasons(code: int, reason: str) -> None:
    data = {"type": "ValueError", "traceback": "x" * 100_000, "other": "dropped"}
    failure = failed({"code": code, "message": "m" * 100_000, "data": data})
    assert failure.reason == reason
    assert set(failure.details) == {"type", "traceback"}
    assert len(failure.message) + len(str(failure.details)) < 20_000


def test_a_process_without_its_limits_is_the_drivers_failure() -> None:
    with pytest.raises(SpawnFailed, match="could not limit itself: 'no RLIMIT_X'; "):
        read_answer(Answer(error={"code": -32003, "message": "no RLIMIT_X"}))


def test_running_out_of_memory_has_a_reason_of_its_own() -> None:
    failure = failed({"code": -32000, "message": "MemoryError", "data": {"type": "MemoryError"}})
    assert failure.reason == FailureReason.MEMORY_EXCEEDED
    assert "runtime.memory" in failure.message


@pytest.mark.parametrize("error", [{}, {"code": "x", "message": None, "data": 5}, {"code": -1, "message": "?"}])
def test_other_errors_are_not_the_protocol(error: dict[str, Any]) -> None:
    assert failed(error).reason == FailureReason.PROTOCOL_ERROR
