"""From what the wire said and how the process ended to a result or a failure: a pure function."""

import math
import signal
from collections.abc import Mapping

from aspora.sandbox.answer import read_answer
from aspora.sandbox.interface import MIB, Failure, FailureReason, Json, Limits
from aspora.sandbox.jsonrpc import Answer, WireViolation
from aspora.sandbox.process.conversation import Verdict
from aspora.sandbox.process.messages import Done


def cpu_cap_seconds(limits: Limits) -> int:
    """Processor time for one process, the kernel's unit being a second."""
    return max(1, math.ceil(limits.timeout_seconds * limits.cpu_millis / 1000))


def judge(*, verdict: Verdict, done: Done, killed: bool, limits: Limits) -> Mapping[str, Json] | Failure:
    """What a job came to. An answer that was there counts, however the process ended after it."""
    if isinstance(verdict, Answer):
        return read_answer(verdict)
    if killed:
        return Failure(FailureReason.CANCELLED, "the job was killed on request")
    if isinstance(verdict, WireViolation):
        return Failure(verdict.reason, verdict.message)
    return _stopped(done["cause"], limits) or _out_of_cpu(done, limits) or _crashed(done)


def _stopped(cause: str, limits: Limits) -> Failure | None:
    match cause:
        case "timeout":
            return Failure(
                FailureReason.TIMED_OUT,
                f"the handler was not done after {limits.timeout_seconds:g} s; do less, or raise runtime.timeout",
            )
        case "memory":
            return Failure(
                FailureReason.MEMORY_EXCEEDED,
                f"the handler used more than {limits.memory_bytes // MIB} MiB; use less, or raise runtime.memory",
            )
        case "processes":
            return Failure(
                FailureReason.TOO_MANY_PROCESSES,
                f"the handler had more than {limits.max_processes} processes and threads at once; start fewer",
            )
        case _:
            return None


def _out_of_cpu(done: Done, limits: Limits) -> Failure | None:
    cap_seconds = cpu_cap_seconds(limits)
    by_kernel = done["signal"] == signal.SIGKILL and done["cause"] == "exited" and done["cpu_seconds"] >= cap_seconds
    if done["signal"] != signal.SIGXCPU and not by_kernel:
        return None
    return Failure(
        FailureReason.TIMED_OUT,
        f"the handler used up its {cap_seconds} s of processor time;"
        " compute less, or raise runtime.cpu or runtime.timeout",
    )


def _crashed(done: Done) -> Failure:
    number = done["signal"]
    if done["cause"] == "killed":
        return Failure(
            FailureReason.PROTOCOL_ERROR,
            "the handler closed its wire without an answer and did not end; return a result",
        )
    if number is None:
        return Failure(
            FailureReason.HANDLER_CRASHED,
            f"the handler's process exited with code {done['exit_code']} before it answered; what it printed says why",
            {"exit_code": done["exit_code"]},
        )
    name = _signal_name(number)
    hint = "; perhaps the machine ran out of memory" if number == signal.SIGKILL else ""
    return Failure(
        FailureReason.HANDLER_CRASHED,
        f"the handler's process was ended by {name} before it answered; what it printed says why{hint}",
        {"signal": name},
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # most real-time signals have no name
