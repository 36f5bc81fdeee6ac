"""All the suites of a skill's folder: found, and run as far as they can be run without a server."""

from collections.abc import Mapping
from pathlib import Path

from aspora.evals.datasets import DatasetError, load_evals, load_triggers
from aspora.evals.golden import GOLDEN, RunCase, run_golden
from aspora.evals.report import CaseReport, SuiteReport
from aspora.evals.unit import UNIT, run_unit_tests
from aspora.kit.clock import Clock

GOLDEN_FILE = "tests/golden.jsonl"
UNIT_FOLDER = "tests/unit"
TRIGGERS_FILE = "tests/triggers.json"
EVALS_FILE = "evals/evals.json"


async def run_suites(
    folder: Path, *, run: RunCase | None, environment: Mapping[str, str], clock: Clock, no_run: str = ""
) -> list[SuiteReport]:
    """Run what the folder has; a suite that it lacks has no report.

    Args:
        folder: The skill's folder, absolute.
        run: Runs the skill once; None when it can't be run here.
        environment: Variables for the unit tests' process.
        clock: For durations.
        no_run: Why `run` is None, for people.
    """
    reports: list[SuiteReport] = []
    if (folder / UNIT_FOLDER).is_dir():
        reports.append(await run_unit_tests(folder, tests=folder / UNIT_FOLDER, environment=environment))
    if (folder / GOLDEN_FILE).is_file():
        if run is not None:
            reports.append(await run_golden(folder / GOLDEN_FILE, run, clock=clock))
        else:
            reports.append(SuiteReport(GOLDEN, skipped=no_run))
    reports += _checked_only(folder)
    return reports


def _checked_only(folder: Path) -> list[SuiteReport]:
    """Datasets that need routing or a judge: their form is checked, they are not run."""
    reports: list[SuiteReport] = []
    if (folder / TRIGGERS_FILE).is_file():
        reports.append(_triggers(folder / TRIGGERS_FILE))
    if (folder / EVALS_FILE).is_file():
        reports.append(_evals(folder / EVALS_FILE, folder.name))
    return reports


def _triggers(path: Path) -> SuiteReport:
    try:
        cases = load_triggers(path)
    except DatasetError as error:
        return SuiteReport("triggers", error=str(error))
    why = "requests are not routed by their text yet; the file's form is sound"
    return SuiteReport("triggers", tuple(CaseReport(c.query, skipped=why) for c in cases), skipped=why)


def _evals(path: Path, skill: str) -> SuiteReport:
    try:
        cases = load_evals(path, skill=skill)
    except DatasetError as error:
        return SuiteReport("evals", error=str(error))
    why = "answers are not graded by a model yet; the file's form is sound"
    return SuiteReport("evals", tuple(CaseReport(c.id, c.prompt, skipped=why) for c in cases), skipped=why)


SUITES = (UNIT, GOLDEN, "triggers", "evals")
"""Names of the suites, in the order in which they are run."""
