"""The command line as people run it, with and without a server."""

import contextlib
import io
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.server import REPO, Aspora, Done, prepared, started

from aspora.cli.app import main
from aspora.cli.output import Output
from aspora.main.entry import PLATFORM
from aspora.main.settings import load_settings
from aspora.skills.scaffold import create_skill


class InProcess(Aspora):
    """The same command line without a process of its own, for verbs that start none: a hundred times as quick."""

    def run(self, *argv: str, stdin: str | None = None, cwd: Path = REPO, timeout_seconds: float = 120) -> Done:
        """One command line, to its end."""
        out = Output(io.StringIO(), io.StringIO(), no_color=True)
        with contextlib.chdir(cwd):
            code = main(argv, load_settings=lambda _, given: load_settings(self.own, given), platform=PLATFORM, out=out)
        return Done(code, out.stdout.getvalue(), out.stderr.getvalue())  # type: ignore[attr-defined]

    @property
    def own(self) -> dict[str, str]:
        """Aspora's own part of the environment."""
        return {k: v for k, v in self.environ.items() if k.startswith("ASPORA_")}


@pytest.fixture(scope="module")
def running_aspora() -> Generator[Aspora]:
    """A running server with nothing applied."""
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def offline() -> Generator[Aspora]:
    """A command line that has no server, each command in a process of its own."""
    with prepared() as made:
        yield made


@pytest.fixture(scope="module")
def quick(offline: Aspora) -> InProcess:
    """The same in this process."""
    return InProcess(offline.data_dir, offline.environ)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with one Python skill `hr/screen`, as `aspora create` makes it."""
    create_skill(tmp_path / "skills", "hr/screen")
    return tmp_path
