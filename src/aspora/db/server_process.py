"""One child process that dies with us, with its output in a log of bounded size."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from aspora.db.os_user import OsUser

_LAUNCHER = Path(__file__).with_name("launch.py")
_TAIL_LINES = 20
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def launch_command(program: Sequence[str], user: OsUser) -> list[str]:
    """The command that runs `program` as `user` and interrupts it when the calling thread ends."""
    return [sys.executable, "-I", "-S", str(_LAUNCHER), str(user.uid), str(user.gid), str(os.getpid()), *program]


def run_to_end(program: Sequence[str], user: OsUser, *, timeout_seconds: float) -> tuple[int, str]:
    """Run a program as `user`; its exit status and all it printed.

    Raises:
        subprocess.TimeoutExpired: It took longer; it was killed.
    """
    done = subprocess.run(
        launch_command(program, user),
        check=False,
        cwd="/",
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        timeout=timeout_seconds,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


class BoundedLog:
    """A log file that moves to `<name>.1` when full, so that both take at most twice `max_bytes`."""

    def __init__(self, path: Path, *, max_bytes: int = 4_000_000) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._file: IO[bytes] | None = None

    def write(self, line: bytes) -> None:
        """Append a line; on a full disk it is dropped, because nobody may wait for a log."""
        with suppress(OSError):
            if self._file is None:
                self._file = self._open()
            if self._file.tell() + len(line) > self._max_bytes:
                self._file.close()
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                self._file = self._open()
            self._file.write(line)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "ab", buffering=0)
        file.seek(0, os.SEEK_END)
        return file


class ServerProcess:
    """A running program.

    The kernel ties a child to the *thread* that started it, so the thread that starts this one does nothing else but
    wait for its end; callers may come from any thread.
    """

    def __init__(self, program: Sequence[str], *, user: OsUser, log: BoundedLog) -> None:
        self._program = tuple(program)
        self._user = user
        self._log = log
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._spawned = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="aspora-postgres", daemon=True).start()
        self._spawned.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise RuntimeError("the process was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False once the process has ended."""
        return not self._ended.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end at most so long; True when it has ended."""
        return self._ended.wait(timeout_seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; harmless after the end."""
        if self._process is not None:
            self._process.send_signal(number)

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self._tail)

    def _run(self) -> None:
        try:
            self._process = subprocess.Popen(
                launch_command(self._program, self._user),
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._failure = error
            self._spawned.set()
            return
        reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name="aspora-postgres-log", daemon=True
        )
        reader.start()
        self._spawned.set()
        self._process.wait()
        # What it said last is most wanted; a lingering grandchild may hold the pipe open, so don't wait for long.
        reader.join(timeout=0.2)
        self._ended.set()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                self._tail.append(line.decode("utf-8", "replace").rstrip())
                self._log.write(line)
        self._log.close()
