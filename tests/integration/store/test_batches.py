"""Many callers, one statement: what one of them does wrong stays theirs, over a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from aspora.db.failures import OutcomeUnknown
from aspora.db.pool import Database
from aspora.meta.errors import Invalid, StatusError
from aspora.store import postgres
from aspora.store.interface import Key, Write, WriteResult
from aspora.store.items import Item, encoded
from aspora.store.postgres import PostgresStore

from .conftest import running_store


def create(name: str, spec: Any = None, **conditions: Any) -> Write:
    return Write("create", Key("K", "d", name), {"spec": spec}, **conditions)


def outcome(result: WriteResult) -> str:
    return "ok" if result.error is None else result.error.reason


async def together(store: PostgresStore, *lists: Sequence[Write]) -> list[Any]:
    return await asyncio.gather(*(store.write(writes) for writes in lists), return_exceptions=True)


async def test_callers_share_a_transaction(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        await store.write([create("first")])
        results = await together(store, *([create(f"n{n}")] for n in range(20)))
        assert [outcome(r) for [r] in results] == ["ok"] * 20
        async with database.connection() as connection:
            rows = await (await connection.execute("select distinct xmin::text from objects")).fetchall()
        assert len(rows) == 2


@pytest.mark.parametrize("raw", ["1e200000", '"\\u0000"', '"\\ud800"', "[1,", "[" * 90_000 + "]" * 90_000, "\x00"])
async def test_what_the_database_chokes_on_fails_alone(dsn: str, monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    """As if the look at the values had a hole: the database itself must refuse them."""

    def with_a_hole(write: Write, payload: Any) -> Item:
        item = encoded(write, payload)
        return replace(item, text=item.text.replace('"@poison@"', raw))

    monkeypatch.setattr(postgres, "encoded", with_a_hole)
    async with running_store(dsn) as store:
        first, second, third = await together(
            store, [create("a")], [create("b"), create("bad", "@poison@"), create("c")], [create("d")]
        )
        expected = ["a", "d"]
        if raw == "\x00":  # The protocol itself can't carry it: there is no telling the items of one list apart.
            assert isinstance(second, Invalid)
        else:
            assert [outcome(r) for r in second] == ["ok", "Invalid", "ok"]
            expected = ["a", "b", "c", "d"]
        assert [outcome(r) for r in (*first, *third)] == ["ok", "ok"]
        assert [obj["metadata"]["name"] for obj in (await store.list("K")).items] == expected


async def test_a_refusal_by_a_constraint_fails_alone(database: Database, dsn: str) -> None:
    async with database.connection() as connection:
        await connection.execute("alter table objects add constraint odd check (name <> 'odd')")
    async with running_store(dsn) as store:
        results = await together(store, [create("a")], [create("odd"), create("b")], [create("c")])
        assert [outcome(r) for rs in results for r in rs] == ["ok", "Invalid", "ok", "ok"]
        assert "23514" in results[1][0].error.message


async def test_a_lost_connection_is_told_to_all_of_its_batch(database: Database, dsn: str) -> None:
    async with running_store(dsn) as store:
        async with database.transaction() as holder:
            await holder.execute("select aspora_lock_objects()")
            writing = [asyncio.create_task(store.write([create(f"n{n}")])) for n in range(5)]
            query = "select pid from pg_stat_activity where wait_event = 'advisory' and datname = current_database()"
            async with asyncio.timeout(30), database.connection() as connection:
                while not (rows := await (await connection.execute(query)).fetchall()):
                    pass
            late = asyncio.create_task(store.write([create("late")]))
            await asyncio.sleep(0)
            await holder.execute("select pg_terminate_backend(%s)", [rows[0]["pid"]])
            told = await asyncio.gather(*writing, return_exceptions=True)
        assert [type(e) for e in told] == [OutcomeUnknown] * 5
        [result] = await late
        assert outcome(result) == "ok"
        assert [obj["metadata"]["name"] for obj in (await store.list("K")).items] == ["late"]


async def test_lists_that_depend_on_each_other_are_applied_in_order(dsn: str) -> None:
    home = Key("D", "", "d")
    async with running_store(dsn) as store:
        lists = [
            [create("early", lives_in=home)],
            [Write("create", home, {})],
            [create("a", lives_in=home), Write("update", Key("K", "d", "a"), {"spec": {"n": 1}})],
            [Write("delete", home, empty_domain="d")],
        ]
        results = await together(store, *lists)
        assert [outcome(r) for rs in results for r in rs] == ["Conflict", "ok", "ok", "ok", "Conflict"]
        assert (await store.get(Key("K", "d", "a")))["metadata"]["generation"] == 2


@pytest.mark.parametrize("count", [1, 2, 30])
async def test_alone_or_together_every_outcome_is_the_same(dsn: str, count: int) -> None:
    """The set-based statement and the loop say the same of every sort of write."""
    async with running_store(dsn) as store:

        async def everywhere(make: Any) -> set[Any]:
            results = await together(store, *([make(n)] for n in range(count)))
            return {told(result) for [result] in results}

        def told(result: WriteResult) -> Any:
            error: StatusError | None = result.error
            if error is not None:
                return error.reason
            obj: Any = result.object
            metadata = obj["metadata"]
            return (
                *(result.is_deleted, metadata["generation"], "deletionTimestamp" in metadata),
                *(obj.get("spec"), str(obj.get("status"))),
            )[: 4 if obj.get("spec") is None else 3]

        key = [Key("K", "d", f"n{n}") for n in range(count)]
        held = {"metadata": {"finalizers": ["f"]}, "spec": {"a": 1}}
        assert await everywhere(lambda n: Write("update", key[n], held)) == {"NotFound"}
        assert await everywhere(lambda n: create(f"n{n}", lives_in=Key("D", "", "none"))) == {"Conflict"}
        assert await everywhere(lambda n: Write("create", key[n], held)) == {(False, 1, False)}
        before = (await store.list("K")).resource_version
        assert await everywhere(lambda n: Write("create", key[n], held)) == {"AlreadyExists"}
        assert await everywhere(lambda n: Write("update", key[n], held)) == {(False, 1, False)}
        assert (await store.list("K")).resource_version == before
        assert await everywhere(lambda n: Write("update", key[n], held, expected_uid="x")) == {"Conflict"}
        assert await everywhere(lambda n: Write("delete", key[n], expected_version="1")) == {"Conflict"}
        assert await everywhere(lambda n: Write("delete", key[n])) == {(False, 1, True)}
        assert await everywhere(lambda n: Write("update_status", key[n], {"status": {"x": 1}})) == {(False, 1, True)}
        freed = {"metadata": {}, "spec": {"a": 2}}
        assert await everywhere(lambda n: Write("update", key[n], freed)) == {(True, 2, True)}
        assert (await store.list("K")).items == ()
