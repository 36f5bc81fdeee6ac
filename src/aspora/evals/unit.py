"""A skill's own unit tests, run by pytest in a process of its own."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

from aspora.evals.report import CaseReport, SuiteReport

UNIT = "unit"
DEFAULT_TIMEOUT_SECONDS = 300.0
_MAX_OUTPUT_BYTES = 1024 * 1024
_TAIL_CHARACTERS = 2000
_NO_TESTS = 5
_EMPTY_CONFIG = "[pytest]\n"


async def run_unit_tests(
    folder: Path,
    *,
    tests: Path,
    environment: Mapping[str, str],
    python: str = sys.executable,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> SuiteReport:
    """Run the tests of one skill. A project's pytest settings around the skill do not count.

    Args:
        folder: The skill's folder: the tests' working directory.
        tests: The folder with the tests.
        environment: The variables that the tests see, beside where the skill is found.
        python: An interpreter that has pytest and `aspora_sdk`.
        timeout_seconds: The whole run is killed after this time.
    """
    with tempfile.TemporaryDirectory(prefix="aspora-test-") as scratch:
        config, junit = Path(scratch, "pytest.ini"), Path(scratch, "report.xml")
        config.write_text(_EMPTY_CONFIG)
        command = [
            *(python, "-m", "pytest", "-q", "--no-header", "--tb=short", "--import-mode=importlib"),
            *(
                "-p",
                "no:cacheprovider",
                "-p",
                "no:randomly",
                "-c",
                str(config),
                "--rootdir",
                str(folder),
                "--junitxml",
                str(junit),
            ),
            str(tests),
        ]
        variables = {
            **environment,
            "ASPORA_SKILLS_ROOT": str(folder.parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            code, output = await _run(command, cwd=folder, env=variables, timeout_seconds=timeout_seconds)
        except TimeoutError:
            return SuiteReport(UNIT, error=f"the tests took longer than {timeout_seconds:g} s and were stopped")
        if code == _NO_TESTS:
            return SuiteReport(UNIT, error=f"{tests} holds no test; a test is a function test_… in a file test_….py")
        cases = _read_junit(junit)
        if code not in {0, 1} or not cases:
            return SuiteReport(UNIT, error=f"pytest ended with exit code {code}:\n{output[-_TAIL_CHARACTERS:]}")
        return SuiteReport(UNIT, cases)


async def _run(command: list[str], *, cwd: Path, env: Mapping[str, str], timeout_seconds: float) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output = await _read_tail(process)
            return await process.wait(), output
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _read_tail(process: asyncio.subprocess.Process) -> str:
    """The end of what it prints, in bounded memory."""
    tail = b""
    while process.stdout is not None and (chunk := await process.stdout.read(65_536)):
        tail = (tail + chunk)[-_MAX_OUTPUT_BYTES:]
    return tail.decode(errors="replace")


def _read_junit(path: Path) -> tuple[CaseReport, ...]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return ()
    return tuple(_case(element) for element in root.iter("testcase"))


def _case(element: ElementTree.Element) -> CaseReport:
    module = element.get("classname", "").rpartition(".")[2]
    name = "::".join(part for part in (module, element.get("name", "")) if part)
    problems = [e for e in element if e.tag in {"failure", "error"}]
    skipped = next((e.get("message", "") or "skipped" for e in element if e.tag == "skipped"), "")
    failures = tuple(_failure_text(e) for e in problems)
    return CaseReport(name, "", failures, float(element.get("time", "0")) * 1000, skipped)


def _failure_text(element: ElementTree.Element) -> str:
    text = (element.text or "").strip()
    message = (element.get("message") or "").strip()
    return text[-_TAIL_CHARACTERS:] if text else message or element.tag
