"""PostgreSQL hangs, dies, or falls silent: callers wait within their deadline or hear `Unavailable`, and all heals.

A few seconds by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) makes it ten and more.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.servers import Proxy, proxy_to

from aspora.db.embedded import EmbeddedPostgres
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.meta.errors import StatusError, Timeout, Unavailable
from aspora.testing.folders import throwaway_folder
from aspora.testing.postgres import fast_folder

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
AWAY_SECONDS = 10.0 if IS_FULL else 2.0
ACQUIRE_SECONDS = 1.0
NOTICED_SECONDS = 4.0
"""How long a busy machine may need over and above what is promised."""

LAG_SECONDS = 3.0
"""Above what a busy machine does to an event loop, below every timeout that might block it."""


@pytest.fixture(autouse=True)
def swept() -> Generator[None]:
    """No garbage of one test in the next."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Generator[EmbeddedPostgres]:
    with (
        throwaway_folder("away", parent=fast_folder()) as folder,
        EmbeddedPostgres(folder / "data", sync=False) as started,
    ):
        yield started


def postmaster_and_backends(server: EmbeddedPostgres) -> list[int]:
    """The server's process and all that it forked."""
    found = [server.pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == server.pid:
                found.append(int(entry.name))
    return found


class Lag:
    """The longest time that the event loop did not turn."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - before - 0.01)


@pytest.fixture
async def lag() -> AsyncGenerator[Lag]:
    watch = Lag()
    task = asyncio.create_task(watch.run())
    yield watch
    task.cancel()


async def ask(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("select 1 as one")).fetchone()
    assert row is not None
    return int(row["one"])


async def ask_until_well(database: Database) -> None:
    """Every caller gets an answer or an error that says to come again; in the end all get answers."""
    async with asyncio.timeout(AWAY_SECONDS + 30):
        while True:
            answers = await asyncio.gather(*(ask(database) for _ in range(8)), return_exceptions=True)
            errors = [a for a in answers if isinstance(a, BaseException)]
            assert all(isinstance(e, Unavailable | Timeout) for e in errors), errors
            if not errors:
                return
            await asyncio.sleep(0.05)


async def test_faults_a_server_that_is_killed_and_started_again(server: EmbeddedPostgres, lag: Lag) -> None:
    async with await Database.open(
        server.dsn, min_size=4, max_size=4, acquire_timeout_seconds=ACQUIRE_SECONDS
    ) as database:
        assert await asyncio.gather(*(ask(database) for _ in range(4))) == [1] * 4
        os.kill(server.pid, signal.SIGKILL)
        away_until = time.monotonic() + AWAY_SECONDS
        refused, told_when_to_return = 0, True
        while time.monotonic() < away_until or not refused:
            began = time.monotonic()
            try:
                await ask(database)  # A backend that has not yet seen its postmaster die may still answer.
            except Unavailable as error:
                refused += 1
                told_when_to_return &= error.retry_after_seconds is not None
            assert time.monotonic() - began < ACQUIRE_SECONDS + NOTICED_SECONDS
            await asyncio.sleep(0.05)
        assert told_when_to_return
        await asyncio.to_thread(server.ensure_running)
        await ask_until_well(database)
    assert lag.longest_seconds < LAG_SECONDS


async def test_faults_a_server_that_hangs(server: EmbeddedPostgres, lag: Lag) -> None:
    async with await Database.open(
        server.dsn, min_size=2, max_size=2, acquire_timeout_seconds=ACQUIRE_SECONDS, statement_timeout_seconds=60
    ) as database:
        await ask(database)
        stopped = postmaster_and_backends(server)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for _ in range(3):
                # What a request does: it has a deadline of its own, and no connection is stuck behind it afterwards.
                with pytest.raises((StatusError, TimeoutError)):
                    async with asyncio.timeout(ACQUIRE_SECONDS):
                        await ask(database)
            assert time.monotonic() - began < 3 * (ACQUIRE_SECONDS + 1) + NOTICED_SECONDS
            with pytest.raises(Unavailable):
                await database.ping(timeout_seconds=0.5)
            await asyncio.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        await ask_until_well(database)
    assert lag.longest_seconds < LAG_SECONDS


def _through(dsn: str, proxy: Proxy, *, extra: str = "") -> str:
    parts = urlsplit(dsn)
    return parts._replace(
        netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}", query=f"sslmode=disable{extra}"
    ).geturl()


def _socket_of(dsn: str) -> str:
    query = parse_qs(urlsplit(dsn).query)
    return f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"


@pytest.fixture
async def proxy(server: EmbeddedPostgres) -> AsyncGenerator[Proxy]:
    async with proxy_to(_socket_of(server.dsn)) as made:
        yield made


async def test_faults_half_open_connections_are_given_up_in_time(
    server: EmbeddedPostgres, proxy: Proxy, lag: Lag
) -> None:
    """A peer that acknowledges and says nothing defeats TCP keepalives: only a deadline of ours can tell."""
    async with await Database.open(
        _through(server.dsn, proxy),
        min_size=2,
        max_size=4,
        acquire_timeout_seconds=ACQUIRE_SECONDS,
        statement_timeout_seconds=2,
    ) as database:
        assert await ask(database) == 1
        proxy.fall_silent()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(ask(database) for _ in range(6)), return_exceptions=True)
        assert time.monotonic() - began < 2 + 5 + ACQUIRE_SECONDS + NOTICED_SECONDS
        assert all(isinstance(o, Unavailable | Timeout) for o in outcomes), outcomes
        proxy.speak()
        await ask_until_well(database)
    assert lag.longest_seconds < LAG_SECONDS


async def test_faults_a_listener_on_a_half_open_connection_connects_again(
    server: EmbeddedPostgres, proxy: Proxy
) -> None:
    listener = Listener(_through(server.dsn, proxy), ["aspora_test"], heartbeat_seconds=0.5)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    try:
        assert await listener.wait_connected(30)
        before = proxy.accepted
        proxy.fall_silent()
        async with asyncio.timeout(5 + 0.5 + NOTICED_SECONDS):
            while listener.is_connected:
                await asyncio.sleep(0.05)
        proxy.speak()
        assert await listener.wait_connected(30)
        assert proxy.accepted > before
    finally:
        stop.set()
        await running
