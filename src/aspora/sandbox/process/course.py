"""The course of one job in one slot, from the waiting process to the outcome."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aspora.meta.errors import Invalid
from aspora.sandbox.interface import Failure, HostCalls, Job, Json, Outcome, SpawnFailed, Usage
from aspora.sandbox.jsonrpc import Answer, WireCaps
from aspora.sandbox.process.conversation import Conversation, Verdict
from aspora.sandbox.process.ending import cpu_cap_seconds, judge
from aspora.sandbox.process.messages import Done
from aspora.sandbox.process.pipes import ChildPipes
from aspora.sandbox.process.slot import Launch, Slot, SlotLost

SPAWN_ATTEMPTS = 2
LEAVE_GRACE_SECONDS = 0.2
DRAIN_SECONDS = 1.0
KILL_SECONDS = 5.0
ENDED_BY_ITSELF = frozenset({"exited", "killed"})
# The supervisor holds the timeout; past this much more it is the supervisor that is stuck.
STUCK_AFTER_SECONDS = 10.0


@dataclass(slots=True)
class Marks:
    """Monotonic times at which the stages of a job ended."""

    start: float
    spawned: float = 0.0
    asked: float = 0.0
    told: float = 0.0
    end: float = 0.0


class _NeverBegan(Exception):
    """The process ended before it had read anything of the request; another one may run the job."""


class Course:
    """Runs one job; make one for each.

    Args:
        job: What to run.
        request: Its first line on the wire.
        host: Who answers its calls.
        slot: A ready slot; on return it is either lost or will say `ready`.
        launch: How to start a process, when none waits in the slot.
        killed: Set from outside to end the job.
        waited_seconds: How long the job waited for its slot.
    """

    def __init__(
        self,
        *,
        job: Job,
        request: bytes,
        host: HostCalls,
        slot: Slot,
        launch: Launch,
        killed: asyncio.Event,
        waited_seconds: float,
    ) -> None:
        self._job = job
        self._request = request
        self._host = host
        self._slot = slot
        self._launch = launch
        self._killed = killed
        self._waited_seconds = waited_seconds
        self._marks = Marks(start=time.monotonic())

    async def run(self) -> Outcome:
        """Run the job to its end.

        Raises:
            SpawnFailed: The driver's own failure.
            Invalid: The artifact is not fit for a sandbox.
        """
        try:
            for _ in range(SPAWN_ATTEMPTS):
                with contextlib.suppress(_NeverBegan):
                    return await self._attempt()
                await self._slot.ready()
        except SlotLost as problem:
            raise SpawnFailed(str(problem)) from problem
        raise SpawnFailed(
            "the sandbox's interpreter does not start, or ends as soon as it has; the driver's probe says more"
        )

    async def _attempt(self) -> Outcome:
        pipes = await self._begin()
        try:
            return await self._converse(pipes)
        finally:
            pipes.close()

    async def _begin(self) -> ChildPipes:
        if self._slot.child is None:
            self._spawn()
        self._marks.spawned = time.monotonic()
        self._slot.begin(self._job, cpu_seconds=cpu_cap_seconds(self._job.limits))
        event = await self._slot.next_event(patience_seconds=STUCK_AFTER_SECONDS)
        pipes = self._slot.take_child()
        if event["event"] == "begun":
            return pipes
        pipes.close()
        if event["event"] == "failed":
            error = Invalid if event["stage"] == "artifact" else SpawnFailed
            raise error(f"the sandbox could not start the job: {event['message']}")
        raise _NeverBegan

    def _spawn(self) -> None:
        try:
            self._slot.spawn(self._launch)
        except OSError as problem:
            raise SpawnFailed(f"no pipes for the job: {problem.strerror}; raise the limit of open files") from problem

    async def _converse(self, pipes: ChildPipes) -> Outcome:
        caps = WireCaps(max_total_bytes=self._job.limits.max_output_bytes)
        talk = Conversation(pipes=pipes, host=self._host, caps=caps)
        try:
            talk.begin(self._request)
            self._marks.asked = time.monotonic()
            done = await self._until_done(talk.verdict)
            self._marks.end = time.monotonic()
            if talk.unheard and done["cause"] in ENDED_BY_ITSELF and not self._killed.is_set():
                raise _NeverBegan
            await talk.drain(patience_seconds=DRAIN_SECONDS)
            verdict = talk.verdict.result() if talk.verdict.done() else None
            came_to = judge(verdict=verdict, done=done, killed=self._killed.is_set(), limits=self._job.limits)
            return self._outcome(came_to, done=done, stderr_tail=talk.stderr_tail())
        finally:
            await talk.close()

    async def _until_done(self, verdict: asyncio.Future[Verdict]) -> Done:
        """Wait for the verdict, end the process accordingly, wait until none is left."""
        done = asyncio.create_task(self._slot.done())
        killed = asyncio.create_task(self._killed.wait())
        try:
            await asyncio.wait(
                {done, killed, verdict},
                timeout=self._job.limits.timeout_seconds + STUCK_AFTER_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._marks.told = time.monotonic()
            if not done.done():
                self._stop(verdict)
                await asyncio.wait({done}, timeout=KILL_SECONDS)
            if not done.done():
                self._slot.abandon("it did not end its job")
            return await done
        finally:
            killed.cancel()
            done.cancel()
            await asyncio.wait({killed, done})

    def _stop(self, verdict: asyncio.Future[Verdict]) -> None:
        """End the process: gently when it has answered or closed its wire, else at once."""
        gently = verdict.done() and verdict.exception() is None and isinstance(verdict.result(), Answer | None)
        if gently and not self._killed.is_set():
            self._slot.finish(grace_seconds=LEAVE_GRACE_SECONDS)
        else:
            self._slot.kill()

    def _outcome(self, came_to: Mapping[str, Json] | Failure, *, done: Done, stderr_tail: str) -> Outcome:
        marks = self._marks
        usage = Usage(
            wall_seconds=marks.end - marks.start,
            cpu_seconds=done["cpu_seconds"],
            max_rss_bytes=done["max_rss_bytes"],
            start_seconds=marks.asked - marks.start,
            stages={
                "wait": self._waited_seconds,
                "spawn": marks.spawned - marks.start,
                "copy": marks.asked - marks.spawned,
                "run": marks.told - marks.asked,
                "finish": marks.end - marks.told,
            },
        )
        failure = came_to if isinstance(came_to, Failure) else None
        result = None if isinstance(came_to, Failure) else came_to
        return Outcome(result=result, failure=failure, usage=usage, stderr_tail=stderr_tail)
