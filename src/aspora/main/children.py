"""Child processes of one Aspora: each is started with its configuration on standard input, watched, and restarted.

A child reads one JSON line from standard input, so that no secret setting stands in argv or in the environment it
inherits; what the operator's own Providers name there stays. It writes one JSON line `{"ready": "<what>"}` to standard
output for each thing that has become ready and `{"failed": "<reason>", "why": "…"}` before it ends of what can be
told, and stops when told by SIGTERM, or when standard input ends, which it does
when this process dies.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aspora.kit.backoff import Backoff
from aspora.kit.supervise import uninterrupted, wait_for_event
from aspora.main.settings import without_secrets
from aspora.meta.errors import BY_REASON, StatusError

_log = logging.getLogger(__name__)

_LAST_WORDS_SECONDS = 1.0
"""For what a child said before it ended; its own children may hold the pipe open for longer."""


class ChildFailed(RuntimeError):
    """A child ended before it was ready; the message says which and how."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start.

    Attributes:
        name: The role, an argument of `python -m aspora.main.child`.
        config: Sent on standard input.
        pass_fds: File descriptors that the child inherits, such as the listening socket.
    """

    name: str
    config: Mapping[str, Any]
    pass_fds: Sequence[int] = ()


@dataclass(slots=True)
class Child:
    """A child that is kept running until `stop`."""

    spec: ChildSpec
    stop_grace_seconds: float
    restarts: int = 0
    pid: int | None = None
    _told: StatusError | None = None
    _ready: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    _task: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _first_end: "asyncio.Future[int] | None" = None

    def start(self) -> None:
        """Start it in the background."""
        self._first_end = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_running(), name=f"child-{self.spec.name}")

    def _event(self, what: str) -> asyncio.Event:
        return self._ready.setdefault(what, asyncio.Event())

    async def wait_ready(self, what: str, *, timeout_seconds: float) -> None:
        """Wait until the child has said that `what` is ready.

        Raises:
            ChildFailed: It ended first, or the time is up.
            StatusError: It ended first and said why.
        """
        assert self._first_end is not None
        ready = asyncio.ensure_future(self._event(what).wait())
        try:
            await asyncio.wait({ready, self._first_end}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return
            if self._first_end.done():
                if self._told is not None:
                    raise self._told
                raise ChildFailed(f"the {self.spec.name} process ended with {describe_exit(self._first_end.result())}")
            raise ChildFailed(f"the {self.spec.name} process was not ready after {timeout_seconds:g} s")
        finally:
            ready.cancel()

    async def stop(self) -> None:
        """Ask it to end, wait `stop_grace_seconds`, then end it."""
        self._stop.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_running(self) -> None:
        backoff = Backoff(base_seconds=0.2, max_seconds=10)
        attempt = 0
        while not self._stop.is_set():
            started = asyncio.get_running_loop().time()
            code = await self._run_once()
            if self._first_end is not None and not self._first_end.done():
                self._first_end.set_result(code)
            if self._stop.is_set():
                return
            _log.warning("child ended, starting it again", extra={"child": self.spec.name, "exit": describe_exit(code)})
            attempt = 0 if asyncio.get_running_loop().time() - started > 30 else attempt + 1
            self.restarts += 1
            await wait_for_event(self._stop, backoff.delay_seconds(attempt))

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "aspora.main.child",
            self.spec.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=without_secrets(os.environ),
            pass_fds=tuple(self.spec.pass_fds),
            start_new_session=True,
        )
        self.pid = process.pid
        assert process.stdin is not None
        assert process.stdout is not None
        reader = asyncio.create_task(self._read_ready(process.stdout))
        stopper = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(process.wait())
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(json.dumps(self.spec.config).encode() + b"\n")
                await process.stdin.drain()
            await asyncio.wait({stopper, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(process, ended)
            elif process.returncode:
                await asyncio.wait({reader}, timeout=_LAST_WORDS_SECONDS)
            return await ended
        finally:
            self.pid = None
            for what in self._ready.values():
                what.clear()
            for task in (reader, stopper, ended):
                task.cancel()
            await asyncio.gather(reader, stopper, ended, return_exceptions=True)
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _end(self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(sent)
            await asyncio.wait({ended}, timeout=self.stop_grace_seconds)
            if ended.done():
                return
            _log.warning("child did not end in time", extra={"child": self.spec.name, "signal": sent.name})

    async def _read_ready(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = json.loads(line)
                if "failed" in said:
                    self._told = BY_REASON[said["failed"]](said["why"])
                else:
                    self._event(said["ready"]).set()


@asynccontextmanager
async def keep_running(*children: Child) -> AsyncGenerator[None]:
    """Keep children running inside the block; stop them at its end, the last one first.

    They are stopped to the end even when cancelled meanwhile, so that what is closed after this outlives them.
    """
    for child in children:
        child.start()
    try:
        yield
    finally:
        await uninterrupted(_stop_in_order(*reversed(children)))


async def _stop_in_order(*children: Child) -> None:
    for child in children:
        await child.stop()


def describe_exit(code: int) -> str:
    """`exit code 1` or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
