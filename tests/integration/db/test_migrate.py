"""The migration engine on real, empty databases."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from aspora.db.migrate import Migration, MigrationFailed, MigrationRefused, load_migrations, migrate, pending
from aspora.db.pool import Database
from aspora.testing.postgres import SharedPostgres


def made(number: int, sql: str) -> Migration:
    return Migration(number=number, slug="step", sql=sql, checksum=hashlib.sha256(sql.encode()).hexdigest())


ONE = made(1, "create table one (id integer); insert into one values (1);")
TWO = made(2, "create table two (id integer); create index on two (id);")
BROKEN = made(3, "create table three (id integer); select broken;")


@pytest.fixture
async def empty(postgres: SharedPostgres) -> AsyncGenerator[Database]:
    with postgres.database(template="template1") as dsn:
        async with await Database.open(dsn, max_size=8, statement_timeout_seconds=1) as database:
            yield database


async def tables(database: Database) -> set[str]:
    async with database.connection() as connection:
        rows = await (
            await connection.execute("select tablename from pg_tables where schemaname = 'public'")
        ).fetchall()
    return {row["tablename"] for row in rows} - {"schema_migrations"}


async def test_each_is_applied_once_and_in_order(empty: Database) -> None:
    assert await pending(empty, [TWO, ONE]) == [ONE, TWO]
    assert await tables(empty) == set()
    assert await migrate(empty, [TWO, ONE]) == [ONE, TWO]
    assert await migrate(empty, [ONE, TWO]) == []
    assert await pending(empty, [ONE, TWO]) == []
    assert await tables(empty) == {"one", "two"}


async def test_many_at_once_apply_each_migration_once(empty: Database) -> None:
    slow = made(1, "select pg_sleep(1.2); create table one (id integer);")
    results = await asyncio.gather(*(migrate(empty, [slow, TWO]) for _ in range(4)))
    assert sorted(len(result) for result in results)[-1] >= 1
    assert sum(len(result) for result in results) == 2


async def test_a_failed_one_leaves_nothing_of_itself_and_keeps_those_before(empty: Database) -> None:
    with pytest.raises(MigrationFailed, match=r"migration '0003_step' failed and was rolled back .*broken"):
        await migrate(empty, [ONE, BROKEN])
    assert await tables(empty) == {"one"}
    mended = made(3, "create table three (id integer);")
    assert await migrate(empty, [ONE, mended]) == [mended]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ([made(1, "edited"), TWO], "'0001_step' was edited"),
        ([TWO], "'0001_step' was applied but its file is missing"),
        ([ONE], "'0002_step', newer than this Aspora knows"),
        ([made(0, "select 1"), ONE, TWO], "'0000_step' comes before 0002"),
    ],
)
async def test_a_past_that_disagrees_stops_everything(empty: Database, now: list[Migration], message: str) -> None:
    await migrate(empty, [ONE, TWO])
    with pytest.raises(MigrationRefused, match=message):
        await migrate(empty, [*now, *([made(9, "create table nine (id integer)")] if "newer" not in message else [])])
    assert await tables(empty) == {"one", "two"}


async def test_asporas_own_migrations_apply_to_an_empty_database(empty: Database) -> None:
    own = load_migrations()
    assert await migrate(empty) == list(own)
    assert await migrate(empty) == []


async def test_older_code_starts_on_a_newer_database_that_is_made_for_it(empty: Database) -> None:
    says = made(2, "alter table schema_migrations add column compatible_with integer")
    kind, harsh = replace(made(3, "select 1"), compatible_with=2), made(4, "select 1")
    one, two, three = [ONE], [ONE, says], [ONE, says, kind]
    await migrate(empty, three)
    assert await migrate(empty, two) == [], "the release before still starts"
    assert await pending(empty, two) == []
    with pytest.raises(MigrationRefused, match="'0002_step', newer than this Aspora knows and not made for it"):
        await migrate(empty, one)
    await migrate(empty, [*three, harsh])
    with pytest.raises(MigrationRefused, match="'0004_step', newer"):
        await migrate(empty, two)
    assert await migrate(empty, [*three, harsh]) == []
