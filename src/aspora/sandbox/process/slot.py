"""The driver's handle on one supervisor: start it, give it orders, hear its events, notice its death."""

import asyncio
import contextlib
import math
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aspora
from aspora.sandbox.interface import Job
from aspora.sandbox.process import messages, procfs
from aspora.sandbox.process.pipes import ChildPipes, open_pipes
from aspora.sandbox.process.workspace import Place

SOURCE_ROOT = str(Path(aspora.__file__).parent.parent)
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from aspora.sandbox.process.supervisor import main; main()"
START_SECONDS = 20.0
END_SECONDS = 10.0
LOOK_EVERY_SECONDS = 1.0


class SlotLost(Exception):
    """The supervisor died, or does not do what it was told."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a handler process is started: its command and environment."""

    argv: Sequence[str]
    env: Mapping[str, str]


def platform_python() -> str:
    """The interpreter that runs Aspora, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable) or sys.executable)


def loader_env() -> dict[str, str]:
    """What the platform's interpreter itself may have needed to start."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


class Slot:
    """One supervisor process and the socket to it. Use from one event loop.

    Attributes:
        place: Its folder and user.
        child: The pipes of the process that waits for a job; None when there is none.
        lost: Whether the supervisor is gone.
        why: Why it is gone, once it is.
    """

    def __init__(self, place: Place, *, lock_fds: Sequence[int]) -> None:
        self.place = place
        self.child: ChildPipes | None = None
        self.lost = False
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.why = "its process ended"
        self._loop = asyncio.get_running_loop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        try:
            self._process = self._start(theirs, [*place.lock_fds(), *lock_fds])
        except OSError:
            self._control.close()
            raise
        finally:
            theirs.close()
        self._loop.add_reader(self._control.fileno(), self._read)

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it can take a job.

        Raises:
            SlotLost: It died, or takes too long.
        """
        while (await self.next_event(patience_seconds=START_SECONDS))["event"] != "ready":
            pass

    def spawn(self, launch: Launch) -> None:
        """Start a process that waits for a job; `child` holds its pipes."""
        self.child, theirs = open_pipes()
        order: messages.Spawn = {"op": "spawn", "argv": launch.argv, "env": launch.env}
        try:
            self._tell(order, theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    def begin(self, job: Job, *, cpu_seconds: int) -> None:
        """Give the waiting process its artifact and limits; the event `begun` follows."""
        limits = job.limits
        order: messages.Begin = {
            "op": "begin",
            "artifact_dir": str(job.artifact_dir.absolute()),
            "timeout_seconds": limits.timeout_seconds,
            "cpu_seconds": cpu_seconds,
            "memory_bytes": limits.memory_bytes,
            "max_processes": limits.max_processes,
            "max_file_bytes": limits.max_file_bytes,
        }
        self._tell(order)

    def finish(self, *, grace_seconds: float) -> None:
        """Let the job leave by itself, then have it killed; the event `done` follows."""
        order: messages.Finish = {"op": "finish", "grace_seconds": grace_seconds}
        self._tell(order)

    def kill(self) -> None:
        """Have the job killed at once; the event `done` follows."""
        self._tell({"op": "kill"})

    async def next_event(self, *, patience_seconds: float = math.inf) -> dict[str, Any]:
        """The supervisor's next event.

        Raises:
            SlotLost: It died, was stopped, or was silent for `patience_seconds`.
        """
        event = await self._event_or_loss(patience_seconds)
        if event is None:
            self._events.put_nowait(None)
            raise SlotLost(f"the sandbox supervisor of {str(self.place.folder)!r} was lost: {self.why}")
        return event

    async def _event_or_loss(self, patience_seconds: float) -> dict[str, Any] | None:
        give_up = self._loop.time() + patience_seconds
        was_stopped = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._loop.time() + LOOK_EVERY_SECONDS, give_up)):
                    return await self._events.get()
            # An ordinary user's job runs as the supervisor's user and may stop it. Twice in a row, so that a stop of
            # both sides that is just over is not taken for one.
            is_stopped = self._is_stopped()
            if is_stopped and was_stopped:
                self.abandon("it was stopped")
            elif self._loop.time() >= give_up:
                self.abandon(f"it was silent for {patience_seconds} s")
            was_stopped = is_stopped

    def _is_stopped(self) -> bool:
        try:
            return procfs.stand(self.pid).is_stopped
        except ProcessLookupError:
            return False  # dead is another matter, which the socket tells

    async def done(self) -> messages.Done:
        """Wait until no process of the job is left.

        Raises:
            SlotLost: The supervisor died first.
        """
        while (event := await self.next_event())["event"] != "done":
            pass
        return cast("messages.Done", event)

    def take_child(self) -> ChildPipes:
        """The waiting process's pipes, now the caller's to close."""
        child, self.child = self.child, None
        if child is None:
            raise RuntimeError("no process waits in this slot; spawn one first")
        return child

    def abandon(self, why: str) -> None:
        """Kill the supervisor: it is not to be trusted any more. Its job dies with it, its remains are swept later."""
        self.why = why
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._lose()

    async def close(self) -> None:
        """Let the supervisor clean up and end; kill it when it takes too long."""
        self._lose()
        await self._gone(patience_seconds=END_SECONDS)

    async def _gone(self, *, patience_seconds: float) -> None:
        if self._process.poll() is not None:
            return
        ended = self._loop.create_future()
        handle = os.pidfd_open(self._process.pid)
        self._loop.add_reader(handle, lambda: ended.done() or ended.set_result(None))
        try:
            async with asyncio.timeout(patience_seconds):
                await asyncio.shield(ended)
        except TimeoutError:
            self._process.kill()
            await ended
        finally:
            self._loop.remove_reader(handle)
            os.close(handle)
            if ended.done():
                self._process.wait()

    def _start(self, theirs: socket.socket, lock_fds: Sequence[int]) -> subprocess.Popen[bytes]:
        uid = "-" if self.place.uid is None else str(self.place.uid)
        arguments = [SOURCE_ROOT, str(theirs.fileno()), str(self.place.folder), uid]
        return subprocess.Popen(
            [platform_python(), "-I", "-S", "-c", BOOT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *lock_fds],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", **loader_env()},
            cwd="/",
            start_new_session=True,
        )

    def _tell(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            messages.send(self._control, message, fds)
        except OSError as problem:
            self.abandon(f"it took no order: {problem.strerror}")

    def _read(self) -> None:
        try:
            data = self._control.recv(messages.MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        event = messages.decode(data)
        if event["event"] == "broken":
            self.why = str(event["message"])
        else:
            self._events.put_nowait(event)

    def _lose(self) -> None:
        if self.lost:
            return
        self.lost = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        if self.child is not None:
            self.take_child().close()
        self._events.put_nowait(None)
