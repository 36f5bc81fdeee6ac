"""Writes the events of all running attempts together, soon after they happen, so that followers see them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aspora.executor.journal import Journal
from aspora.executor.trace import Trace
from aspora.kit.supervise import flush_when_told
from aspora.meta.errors import StatusError
from aspora.records.events import Addressed, Events
from aspora.records.rows import ExecutionEvent, Owner
from aspora.records.wakeups import CHANGED, Wakeups
from aspora.telemetry.logs import get_logger

_FLUSH_INTERVAL_SECONDS = 0.1
_log = get_logger(__name__)


class EventWriter:
    """Gathers for a moment, then writes one statement for all; `run` must be running."""

    def __init__(self, events: Events, wakeups: Wakeups, owner: Owner) -> None:
        self._owner = owner
        self._events = events
        self._wakeups = wakeups
        self._dirty: set[Trace] = set()
        self._any_dirty = asyncio.Event()
        self._writing = asyncio.Lock()

    def __call__(self, trace: Trace) -> None:
        """Take note that a trace has something to write."""
        self._dirty.add(trace)
        self._any_dirty.set()

    async def take_rest(self, trace: Trace) -> list[ExecutionEvent]:
        """The events that are still to be written, for whoever writes the attempt's end.

        Waits for a write under way that may hold earlier ones, so that the end is the last a follower sees.
        """
        async with self._writing:
            self._dirty.discard(trace)
            return trace.take()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop, and then once more."""
        await flush_when_told(self._any_dirty, self.flush, stop, gather_seconds=_FLUSH_INTERVAL_SECONDS)

    async def flush(self) -> None:
        """Write what there is now; what can't be written stays for the next time."""
        async with self._writing:
            self._any_dirty.clear()
            traces, self._dirty = self._dirty, set()
            taken = [(trace, trace.take()) for trace in traces]
            batch = [Addressed(trace.claim, event) for trace, events in taken for event in events]
            try:
                kept = await self._events.append(self._owner, batch)
            except StatusError as error:
                _log.warning("events not written yet", reason=error.reason, events=len(batch))
                for trace, events in taken:
                    trace.give_back(events)
                    self(trace)
                return
        if kept < len(batch):
            _log.warning("events of fenced attempts dropped", events=len(batch) - kept)
        if kept:
            self._wakeups.send(CHANGED)


class FlushedSteps:
    """A journal whose steps have their events written before their result is kept: a replay emits none again.

    What a step gave counts for more than what is told of it: when the events can't be written, the step is kept all the
    same. They wait with the attempt's trace for the next flush or for its end; an attempt that is killed before that
    loses them. The other way round, a model call would be paid for twice for the sake of a line in the log.
    """

    def __init__(self, inner: Journal, writer: EventWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run a step, or give back what it returned before; see `aspora.executor.journal.Journal`."""

        async def run_and_flush() -> dict[str, Any]:
            try:
                return await run()
            finally:
                await self._flush(key)

        return await self._inner.step(key, run_and_flush)

    async def _flush(self, key: str) -> None:
        try:
            await self._writer.flush()
        except Exception as error:  # noqa: BLE001 - a defect here must not undo the step
            _log.error("events of a step not written, by a defect of Aspora's own", error=error, step=key)
