"""How the end of a process is told."""

import pytest

from aspora.sandbox.interface import Failure, FailureReason, Limits
from aspora.sandbox.jsonrpc import Answer, WireViolation
from aspora.sandbox.process.conversation import Verdict
from aspora.sandbox.process.ending import cpu_cap_seconds, judge
from aspora.sandbox.process.messages import Done

ANSWER = Answer(result={"success": True, "message": "ok"})
LIMITS = Limits(timeout_seconds=4.0, cpu_millis=500)


def done(
    *, cause: str = "exited", exit_code: int | None = 0, signal: int | None = None, cpu_seconds: float = 0.1
) -> Done:
    return {
        "event": "done",
        "cause": cause,
        "exit_code": exit_code,
        "signal": signal,
        "cpu_seconds": cpu_seconds,
        "max_rss_bytes": 1,
        "stragglers": 0,
    }


def failure(end: Done, *, verdict: Verdict = None, killed: bool = False) -> Failure:
    came_to = judge(verdict=verdict, done=end, killed=killed, limits=LIMITS)
    assert isinstance(came_to, Failure)
    return came_to


@pytest.mark.parametrize("end", [done(), done(cause="killed", signal=9), done(exit_code=1), done(cause="timeout")])
def test_an_answer_counts_however_the_process_ended(end: Done) -> None:
    for killed in (False, True):
        came_to = judge(verdict=ANSWER, done=end, killed=killed, limits=LIMITS)
        assert not isinstance(came_to, Failure)


def test_a_request_to_kill_goes_before_other_reasons() -> None:
    violation = WireViolation(FailureReason.PROTOCOL_ERROR, "x")
    assert failure(done(cause="killed", signal=9), killed=True, verdict=violation).reason == FailureReason.CANCELLED


def test_a_violation_is_told_as_it_is() -> None:
    violation = WireViolation(FailureReason.OUTPUT_TOO_LARGE, "too much")
    assert failure(done(cause="killed", signal=9), verdict=violation).message == "too much"


@pytest.mark.parametrize(
    ("end", "reason", "word"),
    [
        (done(cause="timeout", signal=9), FailureReason.TIMED_OUT, "4 s"),
        (done(cause="memory", signal=9), FailureReason.MEMORY_EXCEEDED, "512 MiB"),
        (done(cause="processes", signal=9), FailureReason.TOO_MANY_PROCESSES, "64 processes"),
        (done(signal=24, exit_code=None), FailureReason.TIMED_OUT, "2 s of processor"),
        (done(signal=9, exit_code=None, cpu_seconds=3.0), FailureReason.TIMED_OUT, "2 s of processor"),
        (done(signal=9, exit_code=None), FailureReason.HANDLER_CRASHED, "SIGKILL"),
        (done(signal=35, exit_code=None), FailureReason.HANDLER_CRASHED, "signal 35"),
        (done(exit_code=7), FailureReason.HANDLER_CRASHED, "code 7"),
        (done(cause="killed", signal=9), FailureReason.PROTOCOL_ERROR, "closed its wire"),
    ],
)
def test_reasons(end: Done, reason: FailureReason, word: str) -> None:
    found = failure(end)
    assert found.reason == reason
    assert word in found.message


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (Limits(timeout_seconds=30.0, cpu_millis=500), 15),
        (Limits(timeout_seconds=1.0, cpu_millis=100), 1),
        (Limits(timeout_seconds=2.5, cpu_millis=1000), 3),
    ],
)
def test_processor_time_is_whole_seconds(limits: Limits, seconds: int) -> None:
    assert cpu_cap_seconds(limits) == seconds
