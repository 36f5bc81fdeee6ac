"""A real command line whose streams whoever started it has closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aspora.cli import exit_codes

SCRIPT = """
import sys
from aspora.main.entry import main
sys.argv = ["aspora", *sys.argv[1:]]
main()
"""


def aspora(words: str, redirect: str) -> subprocess.CompletedProcess[str]:
    command = f'exec "$0" -c "$1" {words} {redirect}'
    environ = {**os.environ, "ASPORA_DATA_DIR": "/nonexistent/aspora"}
    environ.pop("PYTHONUNBUFFERED", None)  # Output is held back until the end, as where people run it.
    return subprocess.run(
        ["sh", "-c", command, sys.executable, SCRIPT],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output_is_thrown_away(redirect: str) -> None:
    done = aspora("--help", redirect)
    assert done.returncode == exit_codes.OK
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["run x/y - --local", "validate -", "run . --input-json - --local"])
def test_closed_input_is_told(words: str) -> None:
    done = aspora(words, "<&-")
    assert done.returncode != exit_codes.INTERNAL
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_the_output_is_told() -> None:
    done = aspora("--help", "> /dev/full")
    assert done.returncode == exit_codes.FAILED
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = 'cd "$2" && rmdir "$2" && exec "$0" -c "$1" validate x'
    words = ["sh", "-c", command, sys.executable, SCRIPT, str(tmp_path / "gone")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == exit_codes.FAILED
    assert "the current folder is gone" in done.stderr
