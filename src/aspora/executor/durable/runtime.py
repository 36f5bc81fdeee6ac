"""The durable class in an executor: takes workflows, runs their executions, recovers those of dead nodes."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.executor.durable.engine import Engine
from aspora.executor.interface import Superseded
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.meta.names import ExecutionId
from aspora.meta.objects import rfc3339
from aspora.records.nodes import Nodes
from aspora.records.rows import Owner
from aspora.records.wakeups import QUEUED
from aspora.telemetry.logs import get_logger

_KEPT: Final = timedelta(days=7)
_FORGET_INTERVAL_SECONDS: Final = 3600.0
_LISTEN_SECONDS: Final = 60.0
_log = get_logger(__name__)

Execute = Callable[[ExecutionId], Coroutine[Any, Any, None]]
"""Claims an execution and runs it to its written end; returns at once when it has ended already."""


class DurableRuntime:
    """Everything durable that one executor process does.

    Args:
        listener: Must hear `QUEUED`.
        execute: Runs one execution; it may raise `Superseded`.
        recover_seconds: Between looks for work of dead nodes.
    """

    def __init__(
        self,
        *,
        dsn: str,
        owner: Owner,
        nodes: Nodes,
        listener: Listener,
        slots: int,
        execute: Execute,
        clock: Clock,
        recover_seconds: float,
    ) -> None:
        self._bodies: set[asyncio.Task[None]] = set()
        self._engine = Engine(
            dsn=dsn, executor_id=owner.node, slots=slots, body=self._run_body, busy=lambda: bool(self._bodies)
        )
        self._nodes = nodes
        self._listener = listener
        self._execute = execute
        self._clock = clock
        self._recover_seconds = recover_seconds
        self._stopping = False

    async def start(self, stop: asyncio.Event) -> bool:
        """Begin to take work; False when told to stop before that could be."""
        return await self._engine.start(stop)

    async def _run_body(self, execution: str) -> None:
        """The workflow's body. What is cancelled here stays pending in the engine, for another process."""
        if self._stopping:
            raise asyncio.CancelledError("the process stops")
        # In a task of its own, a cancellation of ours does not look to the engine like one of its own.
        task = asyncio.create_task(self._execute(ExecutionId(execution)))
        self._bodies.add(task)
        task.add_done_callback(self._bodies.discard)
        try:
            await task
        except Superseded as error:
            _log.warning("execution taken over by another process", execution=execution, why=str(error))
            # It must stay pending in the engine until another process takes it.
            raise asyncio.CancelledError(str(error)) from None

    async def listen(self, stop: asyncio.Event) -> None:
        """Look for work whenever there is a wake-up, until told to stop."""
        with self._listener.subscribe(QUEUED) as wakeups:
            stopping = asyncio.create_task(stop.wait())
            stopping.add_done_callback(lambda _: wakeups.wake())
            try:
                while not stop.is_set():
                    if await wakeups.wait(_LISTEN_SECONDS):
                        self._engine.wake()
            finally:
                stopping.cancel()

    async def recover_dead(self) -> set[str]:
        """Put the work of nodes that are no more back into the queue; whose it was."""
        # In this order: a node that shows up among the owners has been registered before.
        owners = await self._engine.owners_of_pending()
        dead = owners - set(await self._nodes.live())
        if dead:
            _log.warning("recovering the work of lost nodes", nodes=sorted(dead))
            await self._engine.recover(dead)
        return dead

    async def recover(self, stop: asyncio.Event) -> None:
        """Look for work of dead nodes until told to stop."""
        while not stop.is_set():
            await self.recover_dead()
            await wait_for_event(stop, self._recover_seconds)

    async def forget(self, stop: asyncio.Event) -> None:
        """Delete what the engine keeps of long-ended executions, until told to stop."""
        while not stop.is_set():
            while await self._engine.forget_ended(before=rfc3339(self._clock.now() - _KEPT)):
                _log.info("ended workflows forgotten")
            await wait_for_event(stop, _FORGET_INTERVAL_SECONDS)

    async def stop(self, *, grace_seconds: float) -> None:
        """Take nothing more, let what runs come to its end within the grace, leave the rest to another process."""
        self._stopping = True
        if self._bodies:
            await asyncio.wait(self._bodies, timeout=grace_seconds)
        for task in self._bodies:
            task.cancel()
        await asyncio.gather(*self._bodies, return_exceptions=True)
        await self._engine.stop()
