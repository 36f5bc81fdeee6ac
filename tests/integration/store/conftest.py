"""A store as a process has it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.store.tail import PROBE_SECONDS


@asynccontextmanager
async def running_store(
    dsn: str, *, listening: bool = True, probe_seconds: float = PROBE_SECONDS
) -> AsyncGenerator[PostgresStore]:
    """A store with its own pool, listener and tail."""
    stop = asyncio.Event()
    async with await Database.open(dsn, max_size=6) as database:
        listener = Listener(dsn, [CHANNEL])
        store = PostgresStore(database, listener, SystemClock(), bookmark_seconds=0.1, probe_seconds=probe_seconds)
        async with asyncio.TaskGroup() as loops:
            if listening:
                loops.create_task(listener.run(stop))
                await listener.wait_connected(10)
            loops.create_task(store.run(stop))
            try:
                yield store
            finally:
                stop.set()
