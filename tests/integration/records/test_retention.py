"""Records go a day at a time; what is not over stays; whoever writes is held up for a moment at most."""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.db.retention import PATIENCE_SECONDS, Retained, drop_days
from aspora.records.retention import retain

TODAY = datetime.now(UTC).date()
INSERT = (
    "insert into executions (id, day, domain, skill, revision, environment, class, caller, created_at, deadline, state,"
    " finished_at) values (%(id)s, %(day)s, 'd', 's', 'r', 'production', 'inline', 'me', %(day)s, %(day)s, %(state)s,"
    " case when %(state)s = 'Running' then null else now() end)"
)


def exec_id(day: date, n: int = 0) -> str:
    return f"EXEC-{day:%Y%m%d}000000-{n:08x}"


async def record(database: Database, day: date, state: str = "Succeeded", n: int = 0) -> None:
    async with database.connection() as connection:
        await connection.execute(INSERT, {"id": exec_id(day, n), "day": day, "state": state})
        await connection.execute(
            "insert into execution_events (execution_id, day, attempt, at, type) values (%s, %s, 0, now(), 'Created')",
            (exec_id(day, n), day),
        )
        await connection.execute(
            "insert into effects (execution_id, day, connector, operation, arguments_digest, occurrence, state,"
            " idempotent, attempt, owner_epoch) values (%s, %s, 'c', 'o', 'x', 0, 'done', true, 1, 1)",
            (exec_id(day, n), day),
        )


async def days_of(database: Database, table: str) -> list[date]:
    async with database.connection() as connection:
        text = {
            "executions": "select distinct day from executions order by day",
            "execution_events": "select distinct day from execution_events order by day",
            "effects": "select distinct day from effects order by day",
        }[table]
        return [row["day"] for row in await (await connection.execute(text)).fetchall()]


async def partitions_before(database: Database, table: str, day: date) -> int:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "select count(*) as n from pg_inherits join pg_class on oid = inhrelid where inhparent = %s::text::regclass"
            " and relname ~ '_p[0-9]{8}$' and to_date(right(relname, 8), 'YYYYMMDD') < %s",
            (table, day),
        )
        return (await cursor.fetchone() or {})["n"]


async def test_old_days_go_and_days_with_something_unfinished_stay(database: Database) -> None:
    days = [TODAY - timedelta(days=n) for n in (12, 11, 10, 5, 0)]
    for table in ("executions", "execution_events", "model_calls"):
        async with database.connection() as connection:
            await ensure_partitions(connection, table, 4, today=days[0])
    for day in days:
        await record(database, day)
    await record(database, days[1], "Running", n=1)
    stray = TODAY - timedelta(days=30)
    await record(database, stray)
    dropped = await retain(database, keep_days=7, today=TODAY)
    assert days[0] in dropped["executions"]
    assert days[1] not in dropped["executions"]
    for table in ("executions", "execution_events", "effects"):
        assert await days_of(database, table) == [days[1], days[3], days[4]]
    assert await partitions_before(database, "executions", TODAY - timedelta(days=7)) == 1
    async with database.connection() as connection:
        await connection.execute("update executions set state = 'Failed', finished_at = now() where state = 'Running'")
    await retain(database, keep_days=7, today=TODAY)
    assert await days_of(database, "executions") == [days[3], days[4]]


async def test_a_busy_table_is_left_for_later_and_its_writers_are_hardly_held_up(database: Database) -> None:
    old = TODAY - timedelta(days=20)
    async with database.connection() as connection:
        await ensure_partitions(connection, "executions", 0, today=old)
    await record(database, old)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        began = time.perf_counter()
        await record(database, TODAY, n=len(pauses))
        assert time.perf_counter() - began < 20 * PATIENCE_SECONDS

    async with database.transaction() as holder:
        await holder.execute("select count(*) from executions")
        async with asyncio.timeout(60):
            assert await drop_days(database, "executions", first_kept=TODAY, sleep=pause, rand=lambda: 0.5) == []
        assert len(pauses) > 5
        assert pauses == sorted(pauses)
    assert await drop_days(database, "executions", first_kept=TODAY) == [old]


async def test_a_table_keeps_its_own_least(database: Database) -> None:
    old = TODAY - timedelta(days=20)
    async with database.connection() as connection:
        await ensure_partitions(connection, "model_calls", 0, today=old)
    kept = Retained(table="model_calls", min_days=365)
    assert await retain(database, keep_days=1, today=TODAY, tables=[kept]) == {"model_calls": []}


@pytest.mark.parametrize("table", ["executions", "execution_events", "model_calls"])
async def test_nothing_to_drop_is_no_error(database: Database, table: str) -> None:
    assert await drop_days(database, table, first_kept=TODAY) == []
