"""The process driver: the sandbox contract over supervised processes with resource limits."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aspora.meta.errors import AlreadyExists, Invalid, MethodNotAllowed, NotFound, StatusError, Unavailable
from aspora.sandbox.interface import (
    DriverStats,
    Failure,
    FailureReason,
    HostCalls,
    Job,
    Json,
    Outcome,
    Probe,
    RunId,
    Usage,
)
from aspora.sandbox.jsonrpc import Peer, WireCaps
from aspora.sandbox.process import probing, tree
from aspora.sandbox.process.course import Course
from aspora.sandbox.process.ending import cpu_cap_seconds
from aspora.sandbox.process.limits import Caps
from aspora.sandbox.process.pool import SlotPool
from aspora.sandbox.process.runtime import Runtime, ensure_runtime
from aspora.sandbox.process.slot import Slot
from aspora.sandbox.process.workspace import Place, Workspace

LANGUAGES = ("python",)
DEFAULT_UIDS: Final = range(60800, 61184)
"""Outside what distributions and systemd assign; a user id that has an owner or a process is never taken."""


@dataclass(frozen=True, slots=True)
class _Engine:
    """What exists once the driver is open."""

    workspace: Workspace
    runtime: Runtime
    pool: SlotPool


class ProcessDriver:
    """Runs each job in a fresh process under a supervisor. Opens itself at first use.

    Args:
        work_dir: Where jobs get their copies; made if missing (mode 0711), never changed otherwise.
        runtime_dir: Where the copied SDK and, when needed, interpreter are kept; made if missing (mode 0755).
        max_concurrency: Jobs at once.
        warm: Idle slots that keep an interpreter waiting with the SDK loaded; each serves one job.
        uids: When root, the users that jobs become, one a slot; they must belong to nobody else. Ignored when not root.
    """

    def __init__(
        self,
        *,
        work_dir: Path,
        runtime_dir: Path,
        max_concurrency: int = 4,
        warm: int = 0,
        uids: Sequence[int] = DEFAULT_UIDS,
    ) -> None:
        if max_concurrency < 1 or not 0 <= warm <= max_concurrency:
            raise ValueError(
                f"max_concurrency {max_concurrency!r} and warm {warm!r}: write 1 or more, and at most as many warm"
            )
        if os.geteuid() == 0 and (not uids or min(uids) < 1000):
            raise ValueError("as root the sandbox needs user ids of 1000 or more for its jobs; give it a range")
        self._work_dir = work_dir.absolute()
        self._runtime_dir = runtime_dir.absolute()
        self._max_concurrency = max_concurrency
        self._warm = warm
        self._uids = uids if os.geteuid() == 0 else None
        self._opening = asyncio.Lock()
        self._engine: _Engine | None = None
        self._closed = False
        self._runs: dict[RunId, asyncio.Event] = {}
        self._all_ended = asyncio.Event()
        self._all_ended.set()
        self._finished = 0

    async def probe(self) -> Probe:
        """Run a handler that looks around."""
        try:
            engine = await self._open()
            artifact = await asyncio.to_thread(probing.write_artifact, engine.workspace.folder)
            job = Job(
                run_id=RunId(f"probe-{secrets.token_hex(8)}"),
                artifact_dir=artifact.folder,
                entry_point=probing.ENTRY_POINT,
                context=artifact.context(),
                limits=probing.LIMITS,
            )
            outcome = await self.run(job, _NoCalls())
        except StatusError as problem:
            return Probe(available=False, message=problem.message)
        if outcome.result is None:
            why = outcome.failure.message if outcome.failure else "no result"
            return Probe(available=False, message=f"a trial handler failed: {why}\n{outcome.stderr_tail}".rstrip())
        seen = outcome.result["data"]
        return probing.interpret(seen if isinstance(seen, dict) else {})

    async def prepare(self, artifact_dir: Path) -> Path:
        """Check that the folder can be copied for a job; it is used in place."""
        if not artifact_dir.is_dir():
            raise NotFound(f"there is no artifact folder {str(artifact_dir)!r}")
        try:
            await asyncio.to_thread(tree.check_tree, str(artifact_dir))
        except tree.UnfitArtifact as problem:
            raise Invalid(str(problem)) from problem
        return artifact_dir.absolute()

    async def run(self, job: Job, host: HostCalls) -> Outcome:
        """Run a job in the next free slot."""
        request = _request(job, has_own_user=self._uids is not None)
        if job.run_id in self._runs:
            raise AlreadyExists(f"the job {job.run_id!r} is running; wait for its end")
        killed = self._runs[job.run_id] = asyncio.Event()
        self._all_ended.clear()
        began = time.monotonic()
        try:
            engine = await self._open()
            slot = await _acquire_unless(killed, engine.pool)
            if slot is None:
                return _never_began(time.monotonic() - began)
            course = Course(
                job=job,
                request=request,
                host=host,
                slot=slot,
                launch=engine.runtime.launch(),
                killed=killed,
                waited_seconds=time.monotonic() - began,
            )
            try:
                return await _to_the_end(course, killed)
            finally:
                settled = engine.pool.release(slot)
                if slot.lost:  # what its job left is swept before anyone hears of the end
                    await asyncio.wait({settled})
        finally:
            del self._runs[job.run_id]
            self._finished += 1
            if not self._runs:
                self._all_ended.set()

    async def kill(self, run_id: RunId) -> bool:
        """Mark the job killed; its `run` sees to it."""
        killed = self._runs.get(run_id)
        if killed is None:
            return False
        killed.set()
        return True

    def stats(self) -> DriverStats:
        """The present load."""
        pool = None if self._engine is None else self._engine.pool
        return DriverStats(
            slots=self._max_concurrency,
            busy=pool.busy if pool else 0,
            waiting=pool.waiting if pool else 0,
            warm=pool.warm if pool else 0,
            finished=self._finished,
            lost=pool.lost if pool else 0,
        )

    async def close(self) -> None:
        """Kill all jobs, end all supervisors, remove this driver's folder."""
        self._closed = True
        async with self._opening:
            engine, self._engine = self._engine, None
        for killed in self._runs.values():
            killed.set()
        if engine is not None:
            await self._all_ended.wait()
            await engine.pool.close()
            await asyncio.to_thread(engine.workspace.close)

    async def _open(self) -> _Engine:
        async with self._opening:
            if self._closed:
                raise Unavailable("the sandbox driver is closed; make another")
            if self._engine is None:
                self._engine = await self._build()
                self._engine.pool.prewarm()
            return self._engine

    async def _build(self) -> _Engine:
        workspace, place, runtime = await asyncio.to_thread(self._lay_ground)
        pool = SlotPool(
            workspace=workspace,
            first_place=place,
            size=self._max_concurrency,
            warm=self._warm,
            launch=runtime.launch(),
        )
        return _Engine(workspace=workspace, runtime=runtime, pool=pool)

    def _lay_ground(self) -> tuple[Workspace, Place, Runtime]:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        workspace = Workspace(work_dir=self._work_dir, name=name, uids=self._uids)
        workspace.open()
        try:
            place = workspace.new_place()
            return workspace, place, ensure_runtime(runtime_dir=self._runtime_dir, uid=place.uid)
        except BaseException:
            workspace.close()
            raise


class _NoCalls:
    """The host of the probe's handler, which needs nothing."""

    async def call(self, method: str, params: Mapping[str, Json]) -> Json:
        """Refuse."""
        raise MethodNotAllowed(f"the probe has no capability {method!r}")

    def log(self, level: str, message: str, fields: Mapping[str, Json]) -> None:
        """Drop."""


def _request(job: Job, *, has_own_user: bool) -> bytes:
    if job.language not in LANGUAGES:
        raise Invalid(f"this sandbox driver can't run {job.language!r}; write the handler in {', '.join(LANGUAGES)}")
    rlimits: dict[str, Json] | None = None
    if has_own_user:  # Else the supervisor counts the user's other processes in, and may set the limits.
        caps = Caps(
            cpu_seconds=cpu_cap_seconds(job.limits),
            memory_bytes=job.limits.memory_bytes,
            max_file_bytes=job.limits.max_file_bytes,
            max_tasks=job.limits.max_processes,
        )
        rlimits = {name: list(pair) for name, pair in caps.rlimits().items()}
    try:
        return Peer(WireCaps(max_total_bytes=0)).request(
            entry_point=job.entry_point, context=job.context, rlimits=rlimits
        )
    except (TypeError, ValueError, RecursionError) as problem:
        raise Invalid(
            f"the context of job {job.run_id!r} can't be sent as JSON; use texts, numbers, lists and maps"
        ) from problem


def _never_began(waited_seconds: float) -> Outcome:
    failure = Failure(FailureReason.CANCELLED, "the job was killed on request before it began")
    return Outcome(result=None, failure=failure, usage=Usage(stages={"wait": waited_seconds}))


async def _acquire_unless(killed: asyncio.Event, pool: SlotPool) -> Slot | None:
    """A slot; None when the job is killed first."""
    acquiring = asyncio.create_task(pool.acquire())
    killing = asyncio.create_task(killed.wait())
    taken = False
    try:
        await asyncio.wait({acquiring, killing}, return_when=asyncio.FIRST_COMPLETED)
        taken = acquiring.done()
        return acquiring.result() if taken else None
    finally:
        killing.cancel()
        if not taken:
            pool.forgo(acquiring)


async def _to_the_end(course: Course, killed: asyncio.Event) -> Outcome:
    """The course's outcome. Cancelling the caller kills the job, and only its end lets the caller go."""
    task = asyncio.create_task(course.run())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        killed.set()
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen; the cancellation goes first
        raise
