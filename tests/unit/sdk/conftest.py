"""Drive `boot.py` as the host does: a real process, real pipes, an interpreter with only the standard library."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aspora_sdk

BOOT = Path(aspora_sdk.__file__).with_name("boot.py")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}

Answers = dict[str, Callable[..., Any]]


class Job:
    """One job's process, spoken to by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[dict[str, Any]] = []
        self.notifications: list[dict[str, Any]] = []
        self.stderr = ""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(BOOT)],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._to, self._from, self._errors = self._process.stdin, self._process.stdout, self._process.stderr

    def write(self, line: str) -> None:
        self._to.write(line + "\n")
        self._to.flush()

    def send(self, message: dict[str, Any]) -> None:
        self.write(json.dumps(message))

    def receive(self) -> dict[str, Any] | None:
        line = self._from.readline()
        return json.loads(line) if line else None

    def execute(self, context: dict[str, Any] | None = None, *, entry_point: str = "code/handler.py") -> None:
        params = {"entry_point": entry_point, "context": context or {}}
        self.send({"jsonrpc": "2.0", "id": 1, "method": "execute", "params": params})

    def answer(self, answers: Answers | None = None) -> dict[str, Any]:
        """Answer the handler's calls from `answers` until it answers the job; then the process must end with 0."""
        while message := self.receive():
            if "method" not in message:
                self.finish()
                return message
            if "id" not in message:
                self.notifications.append(message)
                continue
            self.calls.append(message)
            self.send({"jsonrpc": "2.0", "id": message["id"], **self._reply(message, answers or {})})
        self.finish()
        raise AssertionError(f"the process ended without an answer; stderr: {self.stderr}")

    def _reply(self, call: dict[str, Any], answers: Answers) -> dict[str, Any]:
        if call["method"] not in answers:
            data = {"reason": "MethodNotAllowed"}
            return {"error": {"code": -32601, "message": f"no method {call['method']!r}", "data": data}}
        return {"result": answers[call["method"]](**call["params"])}

    def close_stdin(self) -> None:
        self._to.close()

    def finish(self) -> None:
        self.stderr = self._errors.read()
        assert self._process.wait(timeout=20) == 0, self.stderr

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._to, self._from, self._errors):
            stream.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Start a job on a folder that holds this handler source (and further files)."""
    jobs: list[Job] = []

    def starter(source: str | None, files: dict[str, str] | None = None) -> Job:
        folder = tmp_path / "artifact"
        written = dict(files or {}) | ({} if source is None else {"code/handler.py": source})
        folder.mkdir(exist_ok=True)
        for name, text in written.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        jobs.append(Job(folder))
        return jobs[-1]

    yield starter
    for job in jobs:
        job.stop()


@pytest.fixture
def run(start: Callable[..., Job]) -> Callable[..., dict[str, Any]]:
    """Run one job to its answer."""

    def runner(source: str, context: dict[str, Any] | None = None, answers: Answers | None = None, **files: str) -> Any:
        job = start(source, files)
        job.execute(context)
        return job.answer(answers)

    return runner
