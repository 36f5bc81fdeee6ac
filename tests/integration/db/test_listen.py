"""Wake-ups across a real connection, and across its loss."""

import asyncio
from collections.abc import AsyncGenerator

import psycopg
import pytest

from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.backoff import Backoff
from aspora.testing.postgres import SharedPostgres

PATIENCE_SECONDS = 30


@pytest.fixture
async def listener(dsn: str) -> AsyncGenerator[Listener]:
    listener = Listener(dsn, ["objects", "records"], backoff=Backoff(base_seconds=0.01), heartbeat_seconds=0.05)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    assert await listener.wait_connected(PATIENCE_SECONDS)
    yield listener
    stop.set()
    await running
    assert not listener.is_connected


async def notify(database: Database, channel: str) -> None:
    async with database.connection() as connection:
        await connection.execute("select pg_notify(%s, 'payload')", [channel])


async def test_everyone_on_the_channel_is_woken_and_nobody_else(listener: Listener, database: Database) -> None:
    with (
        listener.subscribe("objects") as one,
        listener.subscribe("objects") as other,
        listener.subscribe("records") as stranger,
    ):
        await notify(database, "objects")
        assert await one.wait(PATIENCE_SECONDS)
        assert await other.wait(PATIENCE_SECONDS)
        assert not await stranger.wait(0)


async def test_wake_ups_keep_coming_across_heartbeats(listener: Listener, database: Database) -> None:
    with listener.subscribe("records") as subscription:
        for _ in range(5):
            assert not await subscription.wait(0.06)
            await notify(database, "records")
            assert await subscription.wait(PATIENCE_SECONDS)


async def test_everyone_is_woken_after_the_connection_came_back(
    listener: Listener, database: Database, postgres: SharedPostgres
) -> None:
    with listener.subscribe("objects") as subscription:
        with psycopg.connect(postgres.superuser_dsn, autocommit=True) as admin:
            killed = admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'aspora-listen'"
                " and datname = %s",
                [database_name(database)],
            ).fetchall()
        assert killed == [(True,)]
        assert await subscription.wait(PATIENCE_SECONDS)
        assert await listener.wait_connected(PATIENCE_SECONDS)
        await notify(database, "objects")
        assert await subscription.wait(PATIENCE_SECONDS)


def database_name(database: Database) -> str:
    return str(database._pool.kwargs["dbname"])  # type: ignore[index]


async def test_stopping_does_not_wait_for_a_wake_up(dsn: str) -> None:
    listener = Listener(dsn, ["a"], heartbeat_seconds=3600)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    assert await listener.wait_connected(PATIENCE_SECONDS)
    stop.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await running
