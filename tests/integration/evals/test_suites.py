"""A skill's own suites, run by a real pytest in a real process."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aspora.evals import SuiteReport, run_suites
from aspora.evals.unit import run_unit_tests
from aspora.kit.clock import SystemClock
from aspora.skills import create_skill
from aspora_sdk import load_skill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return create_skill(tmp_path / "skills", "hr/resume-screen").folder


async def unit(folder: Path, **options: Any) -> SuiteReport:
    return await run_unit_tests(folder, tests=folder / "tests" / "unit", environment=os.environ, **options)


async def test_a_new_skill_passes_all_its_suites(folder: Path) -> None:
    skill = load_skill("hr/resume-screen", root=folder.parents[1])

    async def run(given: Mapping[str, Any]) -> Mapping[str, Any]:
        result = await asyncio.to_thread(skill.execute, given)
        return {"success": result.success, "message": result.message, "data": result.data, "confidence": 1.0}

    reports = await run_suites(folder, run=run, environment=os.environ, clock=SystemClock())
    assert [(r.suite, r.ok, r.passed, r.failed) for r in reports] == [("unit", True, 2, 0), ("golden", True, 2, 0)]
    assert not (folder / "code" / "__pycache__").exists()


async def test_a_new_markdown_skill_has_sound_datasets(tmp_path: Path) -> None:
    folder = create_skill(tmp_path / "skills", "hr/notes", lang="markdown").folder
    reports = await run_suites(folder, run=None, environment=os.environ, clock=SystemClock(), no_run="no model")
    assert [(r.suite, r.ok, bool(r.skipped)) for r in reports] == [("triggers", True, True)]


async def test_without_a_way_to_run_golden_cases_are_skipped_with_the_reason(folder: Path) -> None:
    reports = await run_suites(folder, run=None, environment=os.environ, clock=SystemClock(), no_run="no model")
    assert [(r.suite, r.skipped) for r in reports] == [("unit", ""), ("golden", "no model")]


async def test_failures_errors_and_skips_are_told_apart(folder: Path) -> None:
    (folder / "tests" / "unit" / "test_handler.py").write_text(
        "import pytest\n"
        "def test_good():\n    pass\n"
        "def test_bad():\n    assert 1 == 2\n"
        "@pytest.fixture\ndef broken():\n    raise OSError('no fixture')\n"
        "def test_error(broken):\n    pass\n"
        "@pytest.mark.skip(reason='later')\ndef test_skipped():\n    pass\n"
    )
    report = await unit(folder)
    assert [(c.id, c.ok, c.skipped) for c in report.cases] == [
        ("test_handler::test_good", True, ""),
        ("test_handler::test_bad", False, ""),
        ("test_handler::test_error", False, ""),
        ("test_handler::test_skipped", True, "later"),
    ]
    assert "assert 1 == 2" in report.cases[1].failures[0]
    assert (report.passed, report.failed) == (1, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no test"),
        ("import nothing_of_that_name\n", "nothing_of_that_name"),
        ("def test_x(:\n", "SyntaxError"),
    ],
)
async def test_files_without_a_test_or_that_cannot_be_imported(folder: Path, text: str, expected: str) -> None:
    (folder / "tests" / "unit" / "test_handler.py").write_text(text)
    report = await unit(folder)
    assert not report.ok
    assert expected in report.error + "".join(f for c in report.cases for f in c.failures)


async def test_an_endless_test_is_stopped_with_its_children(folder: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    (folder / "tests" / "unit" / "test_handler.py").write_text(
        "import subprocess, time\n"
        "def test_x():\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
    )
    for seconds in (3, 20, 60):
        report = await unit(folder, timeout_seconds=seconds)
        assert f"took longer than {seconds} s" in report.error
        if pid_file.exists():  # Else the machine is too busy to have begun the test.
            break
    status = Path("/proc", pid_file.read_text(), "stat")
    async with asyncio.timeout(20):  # It has its signal; on a busy machine the kernel takes a moment to end it.
        while status.exists() and status.read_text().split()[2] != "Z":
            await asyncio.sleep(0.01)


async def test_settings_around_the_skill_do_not_count(folder: Path) -> None:
    (folder.parents[2] / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    assert (await unit(folder)).ok


async def test_tests_that_print_a_lot_are_kept_in_bounds(folder: Path) -> None:
    (folder / "tests" / "unit" / "test_handler.py").write_text(
        "import sys\ndef test_x():\n    sys.__stdout__.write('x' * 5_000_000)\n"
    )
    assert (await unit(folder)).ok
