"""From a claim to a written end: runs the attempt so that it can be cancelled, and writes what became of it, once."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from aspora.executor.attempt import Attempts
from aspora.executor.event_writer import EventWriter
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded
from aspora.executor.journal import Journal
from aspora.executor.results import Given
from aspora.executor.running import Running
from aspora.executor.skill_events import SkillEvents
from aspora.executor.trace import Trace
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.meta.errors import StatusError, Timeout, Unavailable
from aspora.records.executions import Executions
from aspora.records.rows import Claim, Ending, ExecutionEvent
from aspora.records.state import State
from aspora.records.wakeups import CHANGED, Wakeups
from aspora.telemetry.logs import get_logger

_log = get_logger(__name__)
_UNWRITABLE: Final = "Unstorable"
_FINISH_BACKOFF: Final = Backoff(base_seconds=0.05, max_seconds=2.0)


class Conductor:
    """Takes attempts from claim to end.

    Args:
        is_lost: Whether the node's lease is given up: nothing that ends now came to its own end.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        executions: Executions,
        running: Running,
        writer: EventWriter,
        wakeups: Wakeups,
        clock: Clock,
        is_lost: Callable[[], bool] = lambda: False,
        skill_events: SkillEvents | None = None,
    ) -> None:
        self._is_lost = is_lost
        self._skill_events = skill_events
        self._attempts = attempts
        self._executions = executions
        self._running = running
        self._writer = writer
        self._wakeups = wakeups
        self._clock = clock

    async def conduct(self, claim: Claim, journal: Journal) -> State:
        """Run the attempt and write its end.

        Returns:
            The state it ended in, by this node's word; a fenced word changes nothing.

        Raises:
            Superseded: Another attempt has taken it over or will; no end was written.
        """
        trace = Trace(claim, self._clock, on_event=self._writer)
        trace.emit("Started", node=claim.owner.node, attempt=claim.attempt)
        begin = self._clock.monotonic()
        ending = await self._ending(trace, journal)
        await self._finish(trace, ending)
        _log.info(
            "execution ended",
            execution=claim.id,
            skill=f"{claim.domain}/{claim.skill}",
            state=ending.state,
            reason=ending.reason,
            attempt=claim.attempt,
            run_ms=round((self._clock.monotonic() - begin) * 1000, 1),
        )
        return ending.state

    async def _ending(self, trace: Trace, journal: Journal) -> Ending:
        claim = trace.claim
        if claim.cancel_requested:
            with contextlib.suppress(ExecutionFailed):
                await self._attempts.settle(claim)
            return self._cancelled(trace)
        task = asyncio.create_task(self._attempts.make(trace, journal), name=f"attempt-{claim.id}")
        with self._running.entered(claim.id, task):
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                # The process stops: end the work first, and leave the row for another attempt.
                task.cancel()
                await asyncio.wait({task})
                raise
            if task.cancelled():
                return self._cancelled(trace)
        return self._judged(task, trace)

    def _judged(self, task: "asyncio.Task[Given]", trace: Trace) -> Ending:
        try:
            return task.result().ending(self._clock.now(), stages=trace.stages)
        except ExecutionFailed as error:
            return self._failed(trace, error.reason, error.message)
        except StatusError as error:
            return self._failed(trace, error.reason, error.message)
        except Superseded:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the execution must come to an end
            _log.error("attempt failed by a defect of Aspora's own", error=error, execution=trace.claim.id)
            return self._failed(trace, "Internal", "a defect of Aspora's own; the executor's log has the details")

    def _failed(self, trace: Trace, reason: str, message: str) -> Ending:
        return Ending(
            state="Failed", reason=reason, message=message, finished_at=self._clock.now(), stages=trace.stages
        )

    def _cancelled(self, trace: Trace) -> Ending:
        return Ending(
            state="Cancelled",
            reason="Cancelled",
            message="cancelled on request",
            finished_at=self._clock.now(),
            stages=trace.stages,
        )

    async def _finish(self, trace: Trace, ending: Ending) -> None:
        """Write the end, again and again until the database has taken it or the node stops."""
        rest = await self._writer.take_rest(trace)
        attempt = 0
        if self._is_lost():
            raise Superseded("the node's lease is given up")
        while not await self._try_finish(trace.claim, ending, rest):
            await asyncio.sleep(_FINISH_BACKOFF.delay_seconds(attempt))
            attempt += 1
        self._wakeups.send(CHANGED)

    async def _try_finish(self, claim: Claim, ending: Ending, rest: Sequence[ExecutionEvent]) -> bool:
        """Write the end once; False when it may be tried again."""
        try:
            written = await self._executions.finish(claim, ending, rest)
            # Its workflow must not end before it has: whoever recovers it would find nothing to do.
            is_open = not written and claim.execution_class == "durable" and await self._is_open(claim)
        except (Unavailable, Timeout) as error:
            _log.warning("end of an execution not written yet", execution=claim.id, reason=error.reason)
            return False
        except Exception as error:
            if ending.reason == _UNWRITABLE:
                raise
            _log.error("end of an execution can't be written as it is", error=error, execution=claim.id)
            message = "its result or events could not be stored; the executor's log has the details"
            bare = Ending(state="Failed", reason=_UNWRITABLE, message=message, finished_at=ending.finished_at)
            return await self._try_finish(claim, bare, ())
        if written and ending.state == "Failed" and self._skill_events is not None:
            self._skill_events.failed(claim.domain, claim.skill, ending.reason)
        if not written:
            _log.warning("end refused: the execution is another attempt's", execution=claim.id, attempt=claim.attempt)
        if is_open:
            raise Superseded("the end of this attempt was refused, and the execution goes on")
        return True

    async def _is_open(self, claim: Claim) -> bool:
        return await self._executions.is_open(claim.id, claim.execution_class)
