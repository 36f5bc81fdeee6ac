"""Day partitions: made ahead, made twice, made while rows already wait in the default partition."""

import asyncio
from datetime import date

import psycopg
import pytest

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Connection, Database

DAY = date(2026, 2, 28)


async def make_events(connection: Connection, key_type: str = "timestamptz") -> None:
    await connection.execute(
        f"""create table samples (
            id bigint generated always as identity, at {key_type} not null, body text default 'x',
            size integer generated always as (length(body)) stored, check (body <> ''), primary key (id, at)
        ) partition by range (at)""".encode()
    )
    await connection.execute("create table samples_default partition of samples default")
    await connection.execute("create index samples_body on samples (body)")


async def places(connection: Connection) -> list[tuple[str, str]]:
    rows = await (
        await connection.execute("select tableoid::regclass::text as place, at::text from samples order by at")
    ).fetchall()
    return [(row["place"], row["at"]) for row in rows]


@pytest.mark.parametrize("key_type", ["timestamptz", "timestamp", "date"])
async def test_today_and_the_days_ahead_exist_and_rows_find_them(database: Database, key_type: str) -> None:
    async with database.connection() as connection:
        await make_events(connection, key_type)
        assert await ensure_partitions(connection, "samples", 2, today=DAY) == 3
        assert await ensure_partitions(connection, "samples", 3, today=DAY) == 1
        assert await ensure_partitions(connection, "samples", 3, today=DAY) == 0
        await connection.execute(
            "insert into samples (at) values ('2026-02-27'), ('2026-02-28'), ('2026-03-01'), ('2026-04-01')"
        )
        assert [place for place, _ in await places(connection)] == [
            "samples_default",
            "samples_p20260228",
            "samples_p20260301",
            "samples_default",
        ]


async def test_without_a_day_the_databases_utc_day_counts(database: Database) -> None:
    async with database.connection() as connection:
        await make_events(connection)
        await connection.execute("set timezone = 'Pacific/Kiritimati'")
        assert await ensure_partitions(connection, "samples", 0) == 1
        row = await (
            await connection.execute(
                "insert into samples (at) values (now()) returning tableoid::regclass::text as place"
            )
        ).fetchone()
    assert row is not None
    assert row["place"].startswith("samples_p")


async def test_rows_in_the_default_partition_move_without_firing_triggers(database: Database) -> None:
    async with database.connection() as connection:
        await make_events(connection)
        await connection.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'append only'; end $$"
        )
        await connection.execute(
            "create trigger keep before delete or update on samples for each row execute function refuse()"
        )
        await connection.execute(
            "insert into samples (at) values ('2026-02-27 23:59:59.999Z'), ('2026-02-28 00:00Z'),"
            " ('2026-02-28 23:59:59.999999Z'), ('2026-03-01 00:00Z')"
        )
        assert await ensure_partitions(connection, "samples", 0, today=DAY) == 1
        assert [place for place, _ in await places(connection)] == [
            "samples_default",
            "samples_p20260228",
            "samples_p20260228",
            "samples_default",
        ]
        with pytest.raises(psycopg.errors.RaiseException, match="append only"):
            await connection.execute("delete from samples where at = '2026-02-28 00:00Z'")
        ids = await (
            await connection.execute("insert into samples (at) values ('2026-02-28') returning id, size")
        ).fetchone()
    assert ids == {"id": 5, "size": 1}


async def test_many_at_once_while_rows_come_in(database: Database) -> None:
    async with database.connection() as connection:
        await make_events(connection)

    async def insert(number: int) -> None:
        async with database.connection() as connection:
            for hour in range(24):
                await connection.execute(
                    "insert into samples (at) values (%s::date + make_interval(hours => %s))", [DAY, hour + number]
                )

    async def ensure() -> int:
        return await database.run_transaction(lambda c: ensure_partitions(c, "samples", 3, today=DAY))

    done = await asyncio.gather(*(insert(n) for n in range(3)), *(ensure() for _ in range(4)))
    assert sorted(result for result in done if result is not None) == [0, 0, 0, 4]
    async with database.connection() as connection:
        found = await places(connection)
    assert len(found) == 72
    assert {place for place, _ in found} == {"samples_p20260228", "samples_p20260301"}


async def test_a_foreign_key_to_the_table_is_named_when_rows_must_move(database: Database) -> None:
    async with database.connection() as connection:
        await make_events(connection)
        await connection.execute(
            "create table notes (id bigint, at timestamptz, foreign key (id, at) references samples on delete cascade)"
        )
        await connection.execute("insert into samples (at) values ('2026-02-28')")
        await connection.execute("insert into notes select id, at from samples")
        with pytest.raises(psycopg.errors.RaiseException, match="foreign key points to"):
            await ensure_partitions(connection, "samples", 0, today=DAY)
        assert len(await (await connection.execute("select from notes")).fetchall()) == 1


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("create table samples (at timestamptz)", "is not partitioned"),
        ("create table samples (at timestamptz) partition by list (at)", "not partitioned by range"),
        (
            "create table samples (at timestamptz) partition by range (at); create table samples_p20260228 (x integer)",
            "exists but is not a partition",
        ),
    ],
)
async def test_what_can_not_be_partitioned_is_refused(database: Database, setup: str, message: str) -> None:
    async with database.connection() as connection:
        await connection.execute(setup.encode())
        with pytest.raises(psycopg.errors.RaiseException, match=message):
            await ensure_partitions(connection, "samples", 0, today=DAY)


async def test_names_that_need_quotes_and_other_schemas_work(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute('create schema "Odd"')
        await connection.execute('create table "Odd"."Order" ("At" date) partition by range ("At")')
        assert await ensure_partitions(connection, '"Odd"."Order"', 1, today=DAY) == 2
        await connection.execute('insert into "Odd"."Order" values (\'2026-03-01\')')
        assert len(await (await connection.execute('select from "Odd"."Order_p20260301"')).fetchall()) == 1
