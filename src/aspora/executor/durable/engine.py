"""DBOS in one process: its settings, its life, and the few calls we make of it, off the event loop.

DBOS is a singleton of the process with threads of its own. What blocks runs on one thread kept for it; the bodies of
workflows run on the event loop that started it, where the sandbox driver and the database pool live.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, WorkflowStatus, _workflow_commands
from dbos._queue import queue_worker_thread
from dbos._utils import INTERNAL_QUEUE_NAME
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event

from aspora.db.failures import ConnectionLost, translate
from aspora.db.pool import KEEPALIVE
from aspora.executor.durable.bell import Bell
from aspora.executor.durable.launching import LaunchGivenUp, alone
from aspora.executor.starter import APPLICATION, PROTOCOL_VERSION, QUEUE, SCHEMA, WORKFLOW
from aspora.telemetry.logs import get_logger

T = TypeVar("T")
_POOL_SIZE: Final = 6
_MAX_THREADS: Final = 16
_POLLING_SECONDS: Final = 2.0
"""Between looks for work while nothing runs here and nobody calls: how late a lost wake-up makes an execution."""

_BUSY_POLLING_SECONDS: Final = 0.25
_INTERNAL_POLLING_SECONDS: Final = 60.0
"""Of DBOS's own queue, which holds what has no other; ours all have one."""

_JOBS_SECONDS: Final = 3.0
"""Between rounds of DBOS's jobs for delayed workflows and for those with a time limit of its own; ours are neither. The
round's lock is held that long by a transaction, which the server ends after five seconds without a word."""

_NOTIFYING_SECONDS: Final = 0.25
"""Between looks for DBOS's own events to announce, of which Aspora makes none; its 10 ms would wake us for nothing. A
stop waits for the present look's end."""

_MAX_LISTED: Final = 1000
_log = get_logger(__name__)

Body = Callable[[str], Awaitable[None]]
"""Runs one execution by its id."""


class _ForwardToOurs(logging.Handler):
    """DBOS's warnings under our logger: a constant message, its own text as a field."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.warning("workflow engine", text=record.getMessage(), cause=_cause_of(record))


def _cause_of(record: logging.LogRecord) -> str:
    raised = record.exc_info[1] if record.exc_info else None
    return type(raised).__name__ if raised is not None else ""


def _quieten() -> None:
    """Before DBOS finds its logger without a handler and gives it one that prints."""
    logger = logging.getLogger("dbos")
    logger.handlers = [_ForwardToOurs(level=logging.WARNING)]
    logger.propagate = False


def engine_for(dsn: str) -> sqlalchemy.Engine:
    """A small pool of DBOS's own on the same database.

    No ping before each use: it would double the transactions of an idle system, and DBOS tries again by itself.
    """
    known: dict[str, Any] = {k: v for k, v in conninfo_to_dict(dsn).items() if v is not None}
    url = sqlalchemy.URL.create("postgresql+psycopg", database=str(known.get("dbname") or ""))
    arguments = {"connect_timeout": 10, **KEEPALIVE, **known, "application_name": "aspora-durable"}
    engine = sqlalchemy.create_engine(
        url, connect_args=arguments, pool_size=_POOL_SIZE, max_overflow=0, pool_timeout=30
    )
    event.listen(engine, "handle_error", _mark_lost)
    return engine


def _mark_lost(context: sqlalchemy.engine.ExceptionContext) -> None:
    """Say of every way in which a server is out of reach that it is one.

    DBOS tries again, for as long as it takes, what failed so. By itself it knows a refused connection by the words of
    an older driver, and would let an execution fail for it.
    """
    error = context.original_exception
    if isinstance(error, psycopg.Error) and isinstance(translate(error), ConnectionLost):
        context.is_disconnect = True


class Engine:
    """The workflow engine of this process.

    Args:
        dsn: The database; DBOS keeps its tables in a schema of its own there.
        executor_id: Never used before, so that what an earlier process left is nobody's but the recovery's.
        slots: Workflows at once.
        body: What the workflow of an execution does.
        busy: Whether any body runs; asked from another thread.
    """

    def __init__(self, *, dsn: str, executor_id: str, slots: int, body: Body, busy: Callable[[], bool]) -> None:
        self._dsn = dsn
        self._executor_id = executor_id
        self._slots = slots
        self._body = body
        self._bell = Bell(busy=busy, busy_seconds=_BUSY_POLLING_SECONDS)
        self._given_up = threading.Event()
        self._pool: sqlalchemy.Engine | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="durable-engine")

    async def start(self, stop: asyncio.Event) -> bool:
        """Make or migrate the schema, register workflow and queue, begin to take work.

        Returns:
            False when told to stop before it was this executor's turn; all is ended then.
        """
        _quieten()
        self._pool = engine_for(self._dsn)
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_engine": self._pool,
            "dbos_system_schema": SCHEMA,
            "application_version": PROTOCOL_VERSION,
            "executor_id": self._executor_id,
            "max_executor_threads": _MAX_THREADS,
            "notification_coalesce_sec": _NOTIFYING_SECONDS,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        dbos = DBOS(config=config)
        # Launched from another thread, DBOS would run workflows on a loop of its own.
        dbos._background_event_loop.set_main_loop()  # pyright: ignore[reportPrivateUsage]
        body = self._body

        async def run_execution(execution: str) -> None:
            await body(execution)

        DBOS.workflow(name=WORKFLOW)(run_execution)
        _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC = _JOBS_SECONDS  # pyright: ignore[reportPrivateUsage]
        registry = dbos._registry  # pyright: ignore[reportPrivateUsage]
        registry._register_internal_queue(INTERNAL_QUEUE_NAME, polling_interval_sec=_INTERNAL_POLLING_SECONDS)  # pyright: ignore[reportPrivateUsage]
        DBOS.listen_queues([])  # none for DBOS to poll by itself: its thread can't be woken, ours can
        giving_up = asyncio.create_task(self._give_up_after(stop))
        try:
            await self._call(lambda: self._launch(dbos))
        except LaunchGivenUp:
            await self.stop()
            return False
        except BaseException:
            await self.stop()
            raise
        finally:
            giving_up.cancel()
        return True

    async def _give_up_after(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._given_up.set()

    def _launch(self, dbos: DBOS) -> None:
        with alone(self._dsn, executor_id=self._executor_id, given_up=self._given_up):
            DBOS.launch()
        queue = DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._slots,
            polling_interval_sec=_POLLING_SECONDS,
            on_conflict="always_update",
        )
        # As DBOS does for each queue it listens to, but with our event to wait on; private, pinned like `recover`.
        dbos._registry.register_poller(self._bell, queue_worker_thread, self._bell, dbos, queue)  # pyright: ignore[reportPrivateUsage]

    def wake(self) -> None:
        """Look for work now."""
        self._bell.ring()

    async def owners_of_pending(self) -> set[str]:
        """Executor ids that have work under way, dead ones too."""
        found = await self._call(
            lambda: DBOS.list_workflows(status="PENDING", limit=_MAX_LISTED, load_input=False, load_output=False)
        )
        return {status.executor_id for status in found if status.executor_id}

    async def recover(self, dead: set[str]) -> None:
        """Put the work of dead executors back into the queue; doing it twice does no harm."""
        ids = sorted(dead)
        # The one way DBOS has without its paid conductor; private, pinned by the version range and by our tests.
        await self._call(lambda: DBOS._recover_pending_workflows(ids))  # pyright: ignore[reportPrivateUsage]
        self.wake()

    async def forget_ended(self, *, before: str, limit: int = 500) -> int:
        """Delete workflows that ended before an RFC 3339 instant; how many there were."""

        def forget() -> int:
            ended: list[WorkflowStatus] = DBOS.list_workflows(
                completed_before=before,
                status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
                limit=limit,
                load_input=False,
                load_output=False,
            )
            if ended:
                DBOS.delete_workflows([status.workflow_id for status in ended])
            return len(ended)

        return await self._call(forget)

    async def stop(self) -> None:
        """End DBOS; workflows still under way stay as they are, for another process to recover."""
        self._given_up.set()
        await self._call(self._destroy)
        # DBOS put its own, now closed, executor in the place of the loop's.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        self._thread.shutdown(wait=False)

    def _destroy(self) -> None:
        DBOS.destroy(destroy_registry=True)
        if self._pool is not None:
            self._pool.dispose()

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
