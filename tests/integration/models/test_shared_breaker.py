"""Breakers of several processes over one real PostgreSQL: what one finds all know, and no absence blocks anybody."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.integration.models.test_breaker import model, provider

from aspora.circuits.shared import CHANNEL, SharedCircuits
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.kit.supervise import running_loops
from aspora.models.breaker import Breaker, Ticket, upstream_of
from aspora.models.catalog import Catalog
from aspora.models.upstream import UpstreamFault, fault_of_status
from aspora.testing.postgres import SharedPostgres

PATIENCE_SECONDS = 30
DUE = "update model_circuits set open_until = now()"
(ENDPOINT,) = Catalog([model("one", "first")], [provider("first", "http://127.0.0.1:1/v1")], environment={}).resolve(
    ["one"]
)


@dataclass
class Process:
    """One process's breaker, and the tasks that share it."""

    breaker: Breaker
    database: Database
    held: AsyncExitStack

    def fail(self, times: int = 5) -> None:
        for _ in range(times):
            with self.admitted() as ticket:
                ticket.failed(fault_of_status(500))

    def answer(self) -> None:
        with self.admitted() as ticket:
            ticket.answered()

    def admitted(self) -> Ticket:
        ticket = self.breaker.admit(ENDPOINT)
        assert isinstance(ticket, Ticket)
        return ticket

    @property
    def is_open(self) -> bool:
        return isinstance(self.breaker.admit(ENDPOINT), UpstreamFault)


async def start(dsn: str, name: str) -> Process:
    held = AsyncExitStack()
    database = await held.enter_async_context(await Database.open(dsn, max_size=2, acquire_timeout_seconds=1))
    listener = Listener(dsn, [CHANNEL])
    breaker = Breaker(SharedCircuits(database, listener), name=name, clock=SystemClock(), rand=lambda: 0.5)
    loops = {"listener": listener.run, "circuits": breaker.run}
    await held.enter_async_context(running_loops(loops, grace_seconds=2))
    assert await listener.wait_connected(PATIENCE_SECONDS)
    return Process(breaker, database, held)


@pytest.fixture
async def two(dsn: str) -> AsyncIterator[tuple[Process, Process]]:
    one, other = await start(dsn, "one"), await start(dsn, "other")
    yield one, other
    await one.held.aclose()
    await other.held.aclose()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


async def execute(process: Process, sql: str) -> list[dict[str, object]]:
    async with process.database.connection() as connection:
        cursor = await connection.execute(sql.encode())
        return await cursor.fetchall() if cursor.description else []


async def open_on_both(one: Process, other: Process) -> None:
    one.fail()
    await until(lambda: other.is_open)


async def probe_is_due(*processes: Process) -> None:
    """By the database's clock, of which all hear within a second."""
    await execute(processes[0], DUE)
    for process in processes:
        await until(lambda p=process: not p.breaker.passes_over(ENDPOINT))


async def test_what_one_opens_the_other_passes_over_and_what_one_closes_the_other_asks_again(
    two: tuple[Process, Process],
) -> None:
    one, other = two
    await open_on_both(one, other)
    await probe_is_due(one, other)
    assert one.is_open
    assert other.is_open
    granted = [await process.breaker.obtain_probe(ENDPOINT) for process in two]
    assert sorted(granted) == [False, True]
    prober, waiter = (one, other) if granted[0] else (other, one)
    with prober.admitted() as ticket:
        assert prober.is_open
        assert waiter.is_open
        ticket.answered()
    await until(lambda: not waiter.is_open)
    assert await execute(one, "select * from model_circuits") == []


async def test_a_failed_probe_opens_it_for_longer_on_both(two: tuple[Process, Process]) -> None:
    one, other = two
    await open_on_both(one, other)
    await probe_is_due(one, other)
    assert other.is_open
    assert await other.breaker.obtain_probe(ENDPOINT)
    other.fail(1)
    await until(lambda: one.breaker.passes_over(ENDPOINT))
    (row,) = await execute(one, "select number, open_until - now() > interval '10 s' as is_long from model_circuits")
    assert row == {"number": 2, "is_long": True}


async def test_a_killed_owner_of_the_probe_blocks_nobody_for_longer_than_its_claim(
    two: tuple[Process, Process], dsn: str
) -> None:
    one, other = two
    await open_on_both(one, other)
    await probe_is_due(one, other)
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.models.breaker_child", dsn, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"probing\n"
    owner.kill()
    await owner.wait()
    assert other.is_open
    assert not await other.breaker.obtain_probe(ENDPOINT)
    (row,) = await execute(other, "select probe_until - now() <= interval '10 s' as is_short from model_circuits")
    assert row == {"is_short": True}
    await execute(other, "update model_circuits set probe_until = now()")
    await until(lambda: not other.breaker.passes_over(ENDPOINT))
    assert other.is_open
    assert await other.breaker.obtain_probe(ENDPOINT)
    other.answer()
    await until(lambda: not one.is_open)


async def test_a_new_process_knows_what_is_open(two: tuple[Process, Process], dsn: str) -> None:
    await open_on_both(*two)
    third = await start(dsn, "third")
    await until(lambda: third.is_open)
    await third.held.aclose()


def connections(postgres: SharedPostgres, dsn: str, *, allowed: bool) -> None:
    name = urlsplit(dsn).path[1:]
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as admin:
        admin.execute(f"alter database {name} allow_connections {allowed}".encode())
        if not allowed:
            admin.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name])


async def test_without_its_database_a_process_decides_for_itself_and_tells_it_later(
    two: tuple[Process, Process], postgres: SharedPostgres, dsn: str
) -> None:
    one, other = two
    connections(postgres, dsn, allowed=False)
    one.fail()
    assert one.is_open
    assert not other.is_open
    opening = one.breaker._circuit(upstream_of(ENDPOINT)).opening
    assert opening is not None
    opening.until = 0.0
    assert one.is_open, "the probe is asked for first"
    assert await one.breaker.obtain_probe(ENDPOINT)
    one.fail(1)
    connections(postgres, dsn, allowed=True)
    await until(lambda: other.is_open)
    (row,) = await execute(one, "select number from model_circuits")
    assert row == {"number": 2}


async def test_idle_it_asks_nothing_of_the_database(two: tuple[Process, Process]) -> None:
    one, other = two
    await open_on_both(one, other)
    await probe_is_due(one, other)
    for process in two:
        assert not process.breaker._must_look(), "due, and nobody calls"
    assert one.is_open
    assert await one.breaker.obtain_probe(ENDPOINT)
    one.answer()
    await until(lambda: not other.is_open)
    await until(lambda: not one.breaker._must_look())
    assert not other.breaker._must_look()
