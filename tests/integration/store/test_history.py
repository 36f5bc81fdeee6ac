"""History over restarts, lost writes and restored copies: no version twice, no gap unnoticed."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from aspora.db.embedded import EmbeddedPostgres
from aspora.db.migrate import migrate
from aspora.db.pool import Database
from aspora.meta.errors import Expired, Internal
from aspora.store.interface import Event, Key, Write
from aspora.store.log import PostgresLog
from aspora.store.maintenance import maintain
from aspora.store.postgres import PostgresStore
from aspora.testing.postgres import SharedPostgres

from .conftest import running_store


async def create(store: PostgresStore, name: str) -> int:
    [result] = await store.write([Write("create", Key("K", "", name), {})])
    assert result.object is not None
    return int(result.object["metadata"]["resourceVersion"])


async def first_change(events: AsyncGenerator[Event]) -> str:
    async with asyncio.timeout(30), aclosing(events):
        while (event := await anext(events)).type == "BOOKMARK":
            pass
    return event.object["metadata"]["name"]


async def test_a_history_that_is_gone_is_said_clearly(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("delete from object_history")
    with pytest.raises(Internal, match="no object history any more"):
        await PostgresLog(database).position(0)


async def test_versions_begin_at_the_clock_and_count_one_by_one(dsn: str) -> None:
    async with running_store(dsn) as store:
        assert (await store.list("K")).resource_version == "0"
        first = await create(store, "a")
        assert first > 1_700_000_000 * 10**6
        assert [await create(store, name) for name in "bc"] == [first + 1, first + 2]
        assert await first_change(store.watch("K", since="0")) == "a"
        for never in (1, first - 1):
            with pytest.raises(Expired, match="does not have"):
                await first_change(store.watch("K", since=str(never)))


async def test_a_restored_copy_knows_which_versions_were_lost(postgres: SharedPostgres) -> None:
    with postgres.database() as original:
        async with running_store(original) as store:
            kept = await create(store, "kept")
        with postgres.database(template=urlsplit(original).path[1:]) as backup:
            async with running_store(original) as store:
                lost = [await create(store, name) for name in ("lost-1", "lost-2")]
            async with running_store(backup) as restored:
                for version in lost:
                    with pytest.raises(Expired):
                        await first_change(restored.watch("K", since=str(version)))
                after = await create(restored, "after")
                assert after > lost[-1] + 1000
                for version in lost:
                    with pytest.raises(Expired):
                        await first_change(restored.watch("K", since=str(version)))
                assert await first_change(restored.watch("K", since=str(kept))) == "after"


@pytest.fixture
def own_postgres() -> Generator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="aspora-test-store-", dir="/tmp"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder, sync=False)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_a_restart_of_the_server_expires_watches_and_reissues_nothing(own_postgres: EmbeddedPostgres) -> None:
    async with await Database.open(own_postgres.dsn) as database:
        await migrate(database)
    async with running_store(own_postgres.dsn) as store:
        before = await create(store, "before")
        watching = asyncio.create_task(first_change(store.watch("K", since=str(before))))
        while store.tail_age_seconds() == float("inf"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.to_thread(own_postgres.start)
        with pytest.raises(Expired, match="restarted"):
            await watching
        again = asyncio.create_task(first_change(store.watch("K", since=str(before))))
        after = await create(store, "after")
        assert after > before + 1_000_000
        assert await again == "after"
        with pytest.raises(Expired):
            await first_change(store.watch("K", since=str(before + 1)))


async def partitions(database: Database) -> list[str]:
    query = "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'object_events'::regclass"
    async with database.connection() as connection:
        return sorted(row["name"] for row in await (await connection.execute(query)).fetchall())


async def age_events(database: Database, *, days: int) -> None:
    """As if all that has happened had happened days ago: in a partition of that day."""
    statements = (
        "select aspora_ensure_day_partitions('object_events', (now() - %(d)s * interval '1 day')::date, 1)",
        "update object_events set at = at - %(d)s * interval '1 day'",
    )
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(statement, {"d": days})


async def test_maintenance_drops_old_days_keeps_the_rest_and_says_what_is_gone(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        old = [await create(store, name) for name in ("old-1", "old-2")]
        assert await maintain(database) == 0
        await age_events(database, days=3)
        recent = await create(store, "recent")
        assert len(await partitions(database)) == 7
        for _ in range(2):
            assert await maintain(database) == old[-1]
        names = await partitions(database)
        assert names[0] == "object_events_default"
        assert len(names) == 6
        with pytest.raises(Expired, match="before the kept history"):
            await first_change(store.watch("K", since=str(old[0])))
        assert await first_change(store.watch("K", since=str(old[-1]))) == "recent"
        assert len((await store.list("K")).items) == 3
        await maintain(database, keep_days=-1)
        page = await store.list("K")
        assert (len(page.items), page.resource_version) == (3, str(recent))
        assert await create(store, "next") == recent + 1


async def test_maintenance_amid_writes_and_watches_harms_nobody(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        stop = asyncio.Event()

        async def keep_maintaining() -> int:
            rounds = 0
            while not stop.is_set():
                await maintain(database, keep_days=1)
                rounds += 1
            return rounds

        async def watch_all() -> list[str]:
            events: Any = store.watch("K", since="0")
            async with aclosing(events):
                return [await self_name(events) for _ in range(100)]

        async def self_name(events: AsyncGenerator[Event]) -> str:
            while (event := await anext(events)).type == "BOOKMARK":
                pass
            return event.object["metadata"]["name"]

        async with asyncio.timeout(60):
            maintaining = asyncio.create_task(keep_maintaining())
            watching = asyncio.create_task(watch_all())
            for n in range(100):
                await create(store, f"n{n:03}")
            assert await watching == [f"n{n:03}" for n in range(100)]
            stop.set()
            assert await maintaining > 1
