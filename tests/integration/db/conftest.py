"""Data folders that root's database user can reach, and programs run as an ordinary user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from aspora.db.embedded import EmbeddedPostgres
from aspora.testing.folders import throwaway_folder
from aspora.testing.postgres import fast_folder


@pytest.fixture
def open_dir() -> Generator[Path]:
    """An empty folder below open ones (pytest's own are closed to others)."""
    with throwaway_folder("embedded", parent=fast_folder(), mode=0o755) as folder:
        yield folder


@pytest.fixture
def data_dir(open_dir: Path) -> Path:
    """A data directory that does not exist yet."""
    return open_dir / "data"


@pytest.fixture(scope="session")
def pristine() -> Generator[Path]:
    """A stopped server's data directory, to be copied and never used."""
    with throwaway_folder("pristine", parent=fast_folder(), mode=0o755) as folder:
        with EmbeddedPostgres(folder / "data", sync=False):
            pass
        yield folder / "data"


@pytest.fixture
def made_dir(pristine: Path, data_dir: Path) -> Path:
    """A data directory with a database in it that is not running."""
    subprocess.run(["cp", "-a", str(pristine), str(data_dir)], check=True)
    return data_dir


Program = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_program() -> Generator[Program]:
    """Start a Python program; at the end its input is closed, which must end it."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: object, command: list[str] | None = None) -> "subprocess.Popen[str]":
        program = subprocess.Popen(
            [*(command or [sys.executable]), "-c", text, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
        )
        started.append(program)
        return program

    yield start
    for program in started:
        program.communicate(timeout=20)


@pytest.fixture
def as_ordinary_user(open_dir: Path) -> list[str]:
    """A command that runs Python as somebody who isn't root, and owns `open_dir`."""
    if os.geteuid() != 0:
        return [sys.executable]
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    setpriv = shutil.which("setpriv")
    if not python or not setpriv:
        pytest.skip("needs setpriv and a system python3 to run as an ordinary user")
    command = [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups", python]
    probe = "import sys, psycopg, aspora.db.embedded; print(*sys.version_info[:2])"
    done = subprocess.run(
        [*command, "-c", probe],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
    )
    if done.returncode != 0:
        pytest.skip(f"an ordinary user can't use this environment: {done.stderr.strip().splitlines()[-1]}")
    shutil.chown(open_dir, "nobody", "nogroup")
    return command
