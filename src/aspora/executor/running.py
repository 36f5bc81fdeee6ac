"""What this process runs now, so that a cancellation finds it."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.kit.supervise import wait_for_any
from aspora.meta.names import ExecutionId
from aspora.records.executions import Executions
from aspora.records.rows import Owner
from aspora.records.wakeups import CANCELLED

_PROBE_SECONDS: Final = 0.5


class Running:
    """The attempts under way, by execution."""

    def __init__(self) -> None:
        self._tasks: dict[ExecutionId, asyncio.Task[Any]] = {}
        self._cancelled: set[ExecutionId] = set()
        self._any = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    @contextmanager
    def entered(self, execution: ExecutionId, task: "asyncio.Task[Any]") -> Generator[None]:
        """Be found by `cancel` inside the block."""
        self._tasks[execution] = task
        self._any.set()
        try:
            yield
        finally:
            if self._tasks.get(execution) is task:
                del self._tasks[execution]
                self._cancelled.discard(execution)
            if not self._tasks:
                self._any.clear()

    def cancel(self, execution: ExecutionId) -> bool:
        """End an attempt because somebody asked for it; False when it isn't here."""
        task = self._tasks.get(execution)
        if task is None:
            return False
        if execution not in self._cancelled:
            self._cancelled.add(execution)
            task.cancel()
        return True

    def was_cancelled(self, execution: ExecutionId) -> bool:
        """Whether `cancel` was called for the attempt under way."""
        return execution in self._cancelled

    async def watch_cancellations(
        self, executions: Executions, listener: Listener, owner: Owner, stop: asyncio.Event
    ) -> None:
        """End what somebody wants ended, until told to stop; asks the database only while something runs."""
        with listener.subscribe(CANCELLED) as wakeups:
            while not stop.is_set():
                if not self._tasks:
                    await wait_for_any(self._any, stop)
                    continue
                for execution in await executions.cancel_requested(owner):
                    self.cancel(execution)
                await wakeups.wait(_PROBE_SECONDS)
