"""The pool against a real server: what commits, what is retried, what a lost connection means."""

import asyncio
import logging
from datetime import datetime

import psycopg
import pytest

import aspora.db.pool as pool_module
from aspora.db.failures import ConnectionLost, OutcomeUnknown, SerializationConflict
from aspora.db.pool import Connection, Database
from aspora.meta.errors import Conflict, Invalid, Timeout, Unavailable
from aspora.testing.postgres import SharedPostgres


async def count(database: Database, table: str = "t") -> int:
    async with database.connection() as connection:
        row = await (await connection.execute(f"select count(*) as n from {table}".encode())).fetchone()
    assert row is not None
    return int(row["n"])


@pytest.fixture
async def table(database: Database) -> Database:
    async with database.connection() as connection:
        await connection.execute("create table t (id integer primary key, body jsonb)")
    return database


def hang_up_all(postgres: SharedPostgres, dsn: str) -> None:
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            [dsn.rsplit("?", 1)[0].rsplit("/", 1)[1]],
        )


async def test_rows_are_dicts_and_a_dict_goes_in_as_jsonb(table: Database) -> None:
    async with table.connection() as connection:
        await connection.execute("insert into t values (1, %s)", [{"a": [1, None]}])
        row = await (await connection.execute("select *, now() as at from t")).fetchone()
    assert row is not None
    at = row.pop("at")
    assert row == {"id": 1, "body": {"a": [1, None]}}
    assert isinstance(at, datetime)
    assert str(at.tzinfo) == "UTC"


async def test_a_database_that_stays_away_is_told_in_our_own_words(
    postgres: SharedPostgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "_RECONNECT_SECONDS", 0.05)
    dsn = postgres.create_database()
    async with await Database.open(dsn, acquire_timeout_seconds=2) as database:
        postgres.drop_database(dsn)
        with caplog.at_level(logging.WARNING, logger="aspora"), pytest.raises(Unavailable):
            await database.ping(timeout_seconds=1)
    assert "database stays out of reach" in caplog.messages


async def test_a_lone_statement_commits_and_a_failed_transaction_does_not(table: Database) -> None:
    async with table.connection() as connection:
        await connection.execute("insert into t values (1)")

    async def fail() -> None:
        async with table.transaction() as connection:
            await connection.execute("insert into t values (2)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await count(table) == 1


async def test_a_constraint_violation_reaches_the_querys_owner(table: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with table.transaction() as connection:
            await connection.execute("insert into t values (1), (1)")


async def test_nobody_gets_a_connection_the_server_has_closed(
    table: Database, postgres: SharedPostgres, dsn: str
) -> None:
    await asyncio.gather(*(count(table) for _ in range(4)))
    hang_up_all(postgres, dsn)
    assert await asyncio.gather(*(count(table) for _ in range(4))) == [0, 0, 0, 0]


async def test_a_connection_lost_in_mid_transaction_saved_nothing_and_is_retried(
    table: Database, postgres: SharedPostgres, dsn: str
) -> None:
    async def lose() -> None:
        async with table.transaction() as connection:
            await connection.execute("insert into t values (1)")
            hang_up_all(postgres, dsn)
            await connection.execute("select 1")

    with pytest.raises(ConnectionLost):
        await lose()
    assert await count(table) == 0

    tries = 0

    async def work(connection: Connection) -> int:
        nonlocal tries
        tries += 1
        await connection.execute("insert into t values (1)")
        if tries == 1:
            hang_up_all(postgres, dsn)
        await connection.execute("select 1")
        return tries

    assert await table.run_transaction(work) == 2
    assert await count(table) == 1


async def test_a_connection_lost_while_committing_is_not_retried(table: Database) -> None:
    async with table.connection() as connection:
        await connection.execute(
            "create function die() returns trigger language plpgsql as"
            " $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$"
        )
        await connection.execute(
            "create constraint trigger at_commit after insert on t deferrable initially deferred"
            " for each row execute function die()"
        )
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("insert into t values (%s)", [tries])

    with pytest.raises(OutcomeUnknown, match="whether the last change was saved is unknown"):
        await table.run_transaction(work)
    assert tries == 1


async def test_two_transactions_that_deadlock_both_end(table: Database) -> None:
    async with table.connection() as connection:
        await connection.execute("insert into t values (1, '{\"n\": 0}'), (2, '{\"n\": 0}')")
    first_locks = asyncio.Barrier(2)
    met = 0

    async def work(connection: Connection, order: tuple[int, int]) -> None:
        nonlocal met
        update = b"update t set body = jsonb_build_object('n', (body->>'n')::int + 1) where id = %s"
        await connection.execute(update, [order[0]])
        if met < 2:
            met += 1
            await first_locks.wait()
        await connection.execute(update, [order[1]])

    await asyncio.gather(
        table.run_transaction(lambda c: work(c, (1, 2))),
        table.run_transaction(lambda c: work(c, (2, 1))),
    )
    async with table.connection() as connection:
        rows = await (await connection.execute("select (body->>'n')::int as n from t")).fetchall()
    assert [row["n"] for row in rows] == [2, 2]


async def test_endless_collisions_end_as_a_conflict(table: Database) -> None:
    tries = 0

    async def collide(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute("do $$ begin raise exception 'x' using errcode = '40001'; end $$")

    with pytest.raises(SerializationConflict) as caught:
        await table.run_transaction(collide, attempts=3)
    assert isinstance(caught.value, Conflict)
    assert tries == 3


async def test_the_works_own_conflict_is_not_retried(table: Database) -> None:
    tries = 0

    async def stale(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        raise Conflict("stale")

    with pytest.raises(Conflict, match="stale"):
        await table.run_transaction(stale)
    assert tries == 1


async def test_a_statement_over_its_time_is_stopped(dsn: str) -> None:
    async with await Database.open(dsn, statement_timeout_seconds=0.05) as database:
        with pytest.raises(Timeout, match="statement timeout"):
            async with database.connection() as connection:
                await connection.execute("select pg_sleep(60)")
        await database.ping()


async def test_a_full_pool_answers_unavailable_in_time(dsn: str) -> None:
    async with await Database.open(dsn, max_size=1, acquire_timeout_seconds=0.1) as database:
        async with database.connection():
            with pytest.raises(Unavailable, match="no database connection became free"):
                async with database.connection():
                    pass
        await database.ping()


async def test_a_cancelled_query_gives_its_connection_back(dsn: str) -> None:
    async with await Database.open(dsn, max_size=1) as database:
        started = asyncio.Event()

        async def sleep() -> None:
            async with database.connection() as connection:
                started.set()
                await connection.execute("select pg_sleep(60)")

        task = asyncio.create_task(sleep())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.ping(timeout_seconds=5)


async def test_text_with_nul_is_the_callers_mistake(table: Database) -> None:
    for statement, value in (("select %s::text", "a\0b"), ("select %s::jsonb->>'k'", '{"k": "\\u0000"}')):
        with pytest.raises(Invalid, match="NUL"):
            async with table.connection() as connection:
                await connection.execute(statement, [value])


async def test_a_closed_pool_says_so(dsn: str) -> None:
    database = await Database.open(dsn)
    await database.close()
    with pytest.raises(Unavailable, match="is stopping"):
        async with database.connection():
            pass


async def test_the_server_sees_our_settings_and_the_dsns_own_win(dsn: str) -> None:
    async with (
        await Database.open(f"{dsn}&options=-c%20statement_timeout%3D7s", application_name="aspora-test") as database,
        database.connection() as connection,
    ):
        row = await (
            await connection.execute(
                "select current_setting('application_name') as name, current_setting('statement_timeout') as limit,"
                " current_setting('timezone') as zone"
            )
        ).fetchone()
    assert row == {"name": "aspora-test", "limit": "7s", "zone": "UTC"}


async def test_the_isolation_level_is_ours_whatever_the_database_or_the_dsn_says(
    postgres: SharedPostgres, dsn: str
) -> None:
    name = dsn.rsplit("?", 1)[0].rsplit("/", 1)[1]
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as admin:
        admin.execute(f"alter database {name} set default_transaction_isolation = 'serializable'".encode())
    for own in ("", "&options=-c%20default_transaction_isolation%3Dserializable"):
        async with await Database.open(dsn + own) as database:
            async with database.connection() as connection:
                row = await (await connection.execute("show transaction_isolation")).fetchone()
            assert row == {"transaction_isolation": "read committed"}


async def test_a_broken_dsn_is_refused_without_repeating_it() -> None:
    with pytest.raises(Invalid) as caught:
        await Database.open("postgresql://u:s3cret@host/db?nonsense=1")
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_is_not_there_is_unavailable_without_the_password() -> None:
    with pytest.raises(Unavailable) as caught:
        await Database.open("postgresql://u:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


async def test_a_wrong_password_is_refused_at_once(postgres: SharedPostgres, dsn: str) -> None:
    host = dsn.split("?", 1)[1]
    with pytest.raises(Unavailable, match="password authentication failed"):
        await Database.open(f"postgresql://aspora:wrong@/postgres?{host}")


async def test_a_cancellation_that_meets_the_hand_over_of_a_connection_is_not_lost(dsn: str) -> None:
    async with await Database.open(dsn, max_size=1) as database:

        async def borrow() -> None:
            async with database.connection() as connection:
                await connection.execute("select 1")

        for steps in range(12):
            async with database.connection():
                waiting = asyncio.create_task(borrow())
                for _ in range(5):
                    await asyncio.sleep(0)
            for _ in range(steps):
                if not waiting.done():
                    await asyncio.sleep(0)
            if not waiting.done():
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
