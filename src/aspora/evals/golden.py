"""Golden cases: each gives a skill an input and says what its result must be."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aspora.evals.report import CaseReport, SuiteReport
from aspora.kit.clock import Clock
from aspora.meta.errors import StatusError
from aspora_sdk import CaseFileError, SkillTestCase, load_test_cases

GOLDEN = "golden"
INPUT_KEYS = ("user_message", "user_id", "domain", "metadata")

RunCase = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Runs a skill once: the `input` of the handler protocol goes in, `success message data confidence` comes out."""


class RunFailed(Exception):
    """A run that ended without a result.

    Attributes:
        reason: CamelCase.
        message: For people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


async def run_golden(path: Path, run: RunCase, *, clock: Clock) -> SuiteReport:
    """Run every case of a file, one after the other.

    Args:
        path: One case a line, as `aspora_sdk.load_test_cases` reads them.
        run: Runs the skill; raises `RunFailed` or a `StatusError` when there is no result.
        clock: For durations.
    """
    try:
        cases = load_test_cases(path)
    except CaseFileError as error:
        return SuiteReport(GOLDEN, error=str(error))
    except OSError as error:
        return SuiteReport(GOLDEN, error=f"{path}: can't be read: {error.strerror}")
    return SuiteReport(GOLDEN, tuple([await _run_case(case, run, clock) for case in cases]))


async def _run_case(case: SkillTestCase, run: RunCase, clock: Clock) -> CaseReport:
    begin = clock.monotonic()
    try:
        result = await run({key: getattr(case.input, key) for key in INPUT_KEYS})
        failures = case.failures(result)
    except RunFailed as error:
        failures = [f"the run has no result: {error.reason}: {error.message}"]
    except StatusError as error:
        failures = [f"the skill could not be run: {error.reason}: {error.message}"]
    duration_ms = (clock.monotonic() - begin) * 1000
    return CaseReport(case.id, case.description, tuple(failures), duration_ms)
