"""Callers that wait for an execution's end: one question to the database for all of them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.meta.names import ExecutionId
from aspora.records.executions import Executions
from aspora.records.wakeups import CHANGED
from aspora.telemetry.logs import get_logger

Row = Mapping[str, Any]
_PROBE_SECONDS: Final = 0.25
_IDLE_CHECK_SECONDS: Final = 60.0
_log = get_logger(__name__)


class EndWatch:
    """Tells waiters when their execution has ended; `run` must be running."""

    def __init__(self, executions: Executions, listener: Listener) -> None:
        self._executions = executions
        self._listener = listener
        self._waiting: dict[ExecutionId, set[asyncio.Future[Row | None]]] = {}
        self._any = asyncio.Event()
        self._released = False

    async def wait(self, execution: ExecutionId, timeout_seconds: float) -> Row | None:
        """The execution's row once it has ended, or None when it has not in time or the server stops."""
        if self._released:
            return None
        future: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(execution, set()).add(future)
        self._any.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            waiters = self._waiting.get(execution)
            if waiters is not None:
                waiters.discard(future)
                if not waiters:
                    del self._waiting[execution]

    def release_all(self) -> None:
        """Let every waiter go with what it has, now and from now on: the server stops."""
        self._released = True
        for waiters in self._waiting.values():
            for future in waiters:
                if not future.done():
                    future.set_result(None)

    async def run(self, stop: asyncio.Event) -> None:
        """Look whenever something has ended, and at intervals while anybody waits."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._any.set())
        try:
            with self._listener.subscribe(CHANGED) as wakeups:
                while not stop.is_set():
                    if not self._waiting:
                        self._any.clear()
                        await wait_for_event(self._any, _IDLE_CHECK_SECONDS)
                        continue
                    await self._look()
                    await wakeups.wait(_PROBE_SECONDS)
        finally:
            stopping.cancel()

    async def _look(self) -> None:
        try:
            rows = await self._executions.ended_among(list(self._waiting))
        except StatusError as error:
            _log.warning("ends not looked up", reason=error.reason)
            return
        for row in rows:
            for future in self._waiting.pop(ExecutionId(row["id"]), ()):
                if not future.done():
                    future.set_result(row)
