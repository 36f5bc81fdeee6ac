"""Acknowledged writes a second at the store's interface, batched and one by one.

Method: each writer makes objects of about 1 KB and changes each one three times, based on the version it was answered;
it waits for each answer before it writes again. With the batcher all writers are tasks of one process, as callers of a
gateway are, on the event loop that gateways have; one by one, each of them has a store of its own, so that nothing is
gathered.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import uvloop
from psycopg import sql

from aspora.db.embedded import ROLE, EmbeddedPostgres
from aspora.db.listen import Listener
from aspora.db.migrate import migrate
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.store.interface import Key, Write
from aspora.store.postgres import CHANNEL, PostgresStore
from bench.processor import grown, tree_seconds
from bench.report import because, parts, show

WRITERS, SECONDS, WARM_UP_SECONDS = 8, 5.0, 1.0
CHANGES = 3
FILLER = "a line of text as a skill's settings hold it, forty times over; " * 12
SLOW_DISK = {"commit_delay": "2700", "commit_siblings": "0"}
"""As a disk that takes 2.7 ms more for each flush."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What was done in a while, and the processor seconds of it by process."""

    writes: int
    seconds: float
    used_seconds: dict[str, float]

    @property
    def per_second(self) -> float:
        """Writes a second."""
        return self.writes / self.seconds


class Writer:
    """Writes as fast as it is answered."""

    def __init__(self, store: PostgresStore, name: str) -> None:
        self._store = store
        self._name = name
        self.done = 0

    async def run(self) -> None:
        """Until cancelled."""
        number = 0
        while True:
            number += 1
            key = Key("Bench", "bench", f"{self._name}-{number}")
            obj = await self._write(Write("create", key, _object(0)))
            for change in range(1, CHANGES + 1):
                version = obj["metadata"]["resourceVersion"]
                obj = await self._write(Write("update", key, _object(change), expected_version=version))

    async def _write(self, write: Write) -> dict[str, object]:
        [result] = await self._store.write([write])
        if result.error is not None:
            raise result.error
        self.done += 1
        return dict(result.object or {})


def _object(change: int) -> dict[str, object]:
    metadata = {"labels": {"team": "bench", "tier": "gold"}}
    return {"metadata": metadata, "spec": {"change": change, "enabled": True, "text": FILLER, "roles": ["a", "b"]}}


async def measure(dsn: str, pid: int, *, writers: int, shared: bool) -> Rate:
    """How many writes are acknowledged; `shared` lets all writers use one store, so one batcher."""
    async with AsyncExitStack() as held:
        database = await held.enter_async_context(await Database.open(dsn, min_size=writers, max_size=writers + 2))
        await migrate(database)
        stores = [PostgresStore(database, Listener(dsn, [CHANNEL]), SystemClock()) for _ in range(writers)]
        name = f"w{time.time_ns()}"
        busy = [Writer(stores[0] if shared else stores[i], f"{name}-{i}") for i in range(writers)]
        tasks = [asyncio.create_task(writer.run()) for writer in busy]
        await _watched(tasks, WARM_UP_SECONDS)
        before, used, began, own = sum(w.done for w in busy), tree_seconds(pid), time.monotonic(), time.process_time()
        await _watched(tasks, SECONDS)
        seconds, writes = time.monotonic() - began, sum(w.done for w in busy) - before
        spent = {"store and writers": time.process_time() - own} | grown(used, tree_seconds(pid), per=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for store in stores:
            await store.run(_set())
    return Rate(writes, seconds, spent)


async def _watched(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Let the writers work; a failure of one is the bench's."""
    failed, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in failed:
        task.result()


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _configure(server: EmbeddedPostgres, settings: dict[str, str]) -> None:
    """For connections from now on."""
    with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("alter role {} reset all").format(sql.Identifier(ROLE)))
        for name, value in settings.items():
            statement = sql.SQL("alter role {} set {} = {}")
            connection.execute(statement.format(sql.Identifier(ROLE), sql.Identifier(name), sql.Literal(value)))


def measure_writes(server: EmbeddedPostgres) -> None:
    """All figures of writing, on this machine's disk and on a slow one."""
    for disk, settings, target in (("this disk", {}, "≥ 4000/s"), ("slow disk", SLOW_DISK, "≥ 1500/s")):
        _configure(server, settings)
        for writers, shared, wanted in ((WRITERS, True, target), (WRITERS, False, "none"), (1, True, "none")):
            rate = uvloop.run(measure(server.dsn, server.pid, writers=writers, shared=shared))
            how = "batched" if shared else "one by one"
            name = f"store writes, {disk}, {writers} writer{'s' if writers > 1 else ''}, {how}"
            show(name, f"{rate.per_second:.0f}/s", wanted, f"acknowledged, ~1 KB objects, {SECONDS:g} s")
            each = {role: seconds * 1000 / rate.writes for role, seconds in rate.used_seconds.items()}
            because(f"{_bound(settings, shared, writers)}; processor time {parts(each, digits=2, unit='ms')} a write")
    _configure(server, {})


def _bound(settings: dict[str, str], shared: bool, writers: int) -> str:
    flush = "the flush of each batch" if shared and writers > 1 else "a flush for each write"
    return f"{flush}{' (2.7 ms added)' if settings else ''}, then the processors"
