"""A real Aspora for end-to-end tests: `aspora up --detach` over a throwaway data directory, and its command line."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspora.testing.folders import throwaway_folder
from aspora.testing.postgres import fast_folder

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Aspora:
    """One data directory and the environment of its commands."""

    data_dir: Path
    environ: Mapping[str, str]

    def run(self, *argv: str, stdin: str | None = None, cwd: Path = REPO, timeout_seconds: float = 120) -> Done:
        """One command line, to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "aspora", *argv],
            env=dict(self.environ),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=timeout_seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv: str, stdin: str | None = None, cwd: Path = REPO) -> str:
        """A command that must succeed; its output."""
        done = self.run(*argv, stdin=stdin, cwd=cwd)
        assert done.code == 0, f"aspora {' '.join(argv)} → {done.code}\n{done.out}\n{done.err}"
        return done.out

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return str(json.loads((self.data_dir / "endpoint.json").read_text())["url"])

    @property
    def key(self) -> str:
        """The administrator's key."""
        return (self.data_dir / "admin.key").read_text().strip()

    def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One request; status and decoded body."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
            | dict(headers or {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())


@contextlib.contextmanager
def prepared(**environ: str) -> Generator[Aspora]:
    """An Aspora that is not started yet; stopped and removed at the end."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("ASPORA_", "OPENROUTER_"))}
    own = {"ASPORA_PORT": "0", "NO_COLOR": "1", **environ}

    def made(folder: Path) -> Aspora:
        data_dir = folder / "data"
        return Aspora(data_dir, {**base, "ASPORA_DATA_DIR": str(data_dir), **own})

    def end(folder: Path) -> None:
        made(folder).run("down")

    with throwaway_folder("e2e", parent=fast_folder(), mode=0o755, end=end) as folder:
        yield made(folder)


@contextlib.contextmanager
def started(**environ: str) -> Generator[Aspora]:
    """A running Aspora."""
    with prepared(**environ) as aspora:
        aspora.ok("up", "--detach")
        yield aspora
