"""What PostgreSQL makes of the writes: one lock, one order, one commit that is on disk."""

import asyncio
import json
from typing import Any

import psycopg
import pytest

from aspora.db.failures import OutcomeUnknown
from aspora.db.pool import Database
from aspora.meta.errors import Timeout, Unavailable
from aspora.store.interface import Key, Write

from .conftest import running_store

WRITE = "select result from aspora_write_objects(%s::jsonb)"


def item(name: str) -> str:
    obj = {"kind": "K", "metadata": {"name": name}}
    fields = {"op": "create", "kind": "K", "domain": "", "name": name, "uid": "u", "at": "now", "object": obj}
    return json.dumps([fields])


def create(name: str) -> list[Write]:
    return [Write("create", Key("K", "", name), {})]


async def backends_waiting(database: Database, *, for_what: str) -> list[int]:
    query = "select pid from pg_stat_activity where wait_event = %s and datname = current_database()"
    async with asyncio.timeout(30), database.connection() as connection:
        while True:
            rows = await (await connection.execute(query, [for_what])).fetchall()
            if rows:
                return [row["pid"] for row in rows]


async def test_versions_become_visible_in_their_order(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        events = store.watch("K", since="0")
        async with database.transaction() as connection:
            row = await (await connection.execute(WRITE, [item("first")])).fetchone()
            assert row is not None
            second = asyncio.create_task(store.write(create("second")))
            await backends_waiting(database, for_what="advisory")
            assert not second.done()
        await second
        seen = [await anext(events), await anext(events)]
        assert [event.object["metadata"]["name"] for event in seen if event.type == "ADDED"] == ["first", "second"]


async def test_a_write_that_was_rolled_back_was_never_there(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        before = await store.list("K")
        async with database.transaction() as connection:
            await connection.execute(WRITE, [item("never")])
            raise psycopg.Rollback
        assert await store.list("K") == before
        [result] = await store.write(create("a"))
        assert result.object is not None
        [event] = [await anext(store.watch("K", since="0"))]
        assert event.object == result.object


@pytest.mark.parametrize(("setting", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
async def test_a_commit_is_flushed_whatever_the_session_says(dsn: str, setting: str, used: str) -> None:
    async with await Database.open(f"{dsn}&options=-csynchronous_commit%3D{setting}") as lax:
        async with lax.transaction() as connection:
            await connection.execute(WRITE, [item("a")])
            row = await (await connection.execute("show synchronous_commit")).fetchone()
        assert row == {"synchronous_commit": used}


async def test_a_transaction_that_could_not_see_the_present_is_refused(database: Database) -> None:
    async with database.connection() as strict:
        await strict.execute("set default_transaction_isolation = 'serializable'")
        with pytest.raises(psycopg.errors.RaiseException, match="read committed"):
            await strict.execute(WRITE, [item("a")])


async def test_a_connection_lost_in_a_write_leaves_the_outcome_open(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        async with database.transaction() as holder:
            await holder.execute("select aspora_lock_objects()")
            writing = asyncio.create_task(store.write(create("a")))
            [pid] = await backends_waiting(database, for_what="advisory")
            await holder.execute("select pg_terminate_backend(%s)", [pid])
            with pytest.raises(OutcomeUnknown, match="read it again"):
                await writing
        assert (await store.list("K")).items == ()


async def test_a_write_that_waits_too_long_is_a_timeout_and_wrote_nothing(database: Database, dsn: str) -> None:
    async with running_store(f"{dsn}&options=-cstatement_timeout%3D100ms") as store:
        async with database.transaction() as holder:
            await holder.execute("select aspora_lock_objects()")
            with pytest.raises(Timeout):
                await store.write(create("a"))
        assert (await store.list("K")).items == ()


async def test_a_database_that_is_not_there_is_unavailable(dsn: str) -> None:
    database = await Database.open(dsn)
    async with running_store(dsn) as store:
        await database.close()
        store._database = database  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Unavailable):
            await store.write(create("a"))
        with pytest.raises(Unavailable):
            await store.get(Key("K", "", "a"))


async def test_without_notifications_the_tail_finds_out_by_itself(dsn: str) -> None:
    async with running_store(dsn, listening=False) as store:
        assert store.tail_age_seconds() == float("inf")
        events = store.watch("K", since="0")
        waiting = asyncio.create_task(anext(events))
        [result] = await store.write(create("a"))
        async with asyncio.timeout(30):
            event: Any = await waiting
            while event.type == "BOOKMARK":
                event = await anext(events)
            assert event.object == result.object
            while store.tail_age_seconds() > 5:
                assert (await anext(events)).type == "BOOKMARK"


async def test_a_notification_wakes_the_tail_before_it_would_look(dsn: str) -> None:
    async with running_store(dsn, probe_seconds=600) as store, running_store(dsn) as other:
        events = store.watch("K", since="0")
        while store.tail_age_seconds() == float("inf"):
            assert (await anext(events)).type == "BOOKMARK"
        [result] = await other.write(create("a"))
        async with asyncio.timeout(30):
            while (event := await anext(events)).type == "BOOKMARK":
                pass
        assert event.object == result.object
