"""Every store passes the suite."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.store.maintenance import maintain
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.testing.store_suite import StoreSuite, StoreUnderTest


@asynccontextmanager
async def running_store(dsn: str) -> AsyncGenerator[PostgresStore]:
    """A store with its own pool and listener, as a process of its own has it."""
    stop = asyncio.Event()
    async with await Database.open(dsn, max_size=6) as database:
        listener = Listener(dsn, [CHANNEL])
        store = PostgresStore(database, listener, SystemClock(), bookmark_seconds=0.1)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(listener.run(stop))
            loops.create_task(store.run(stop))
            try:
                yield store
            finally:
                stop.set()


class TestPostgresStore(StoreSuite):
    @pytest.fixture
    async def under_test(self, dsn: str) -> AsyncIterator[StoreUnderTest]:
        async with running_store(dsn) as store, running_store(dsn) as peer, await Database.open(dsn) as database:

            async def forget() -> None:
                await maintain(database, keep_days=-1)

            yield StoreUnderTest(store=store, peer=peer, forget=forget)
