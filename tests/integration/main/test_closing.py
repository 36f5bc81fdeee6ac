"""However a process's part ends, nothing of it goes on: no task, no connection, no socket."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aspora.access.keys import mint_key
from aspora.db.pool import Database
from aspora.main import gateway_process
from aspora.main.child import open_database
from aspora.main.metrics_door import MetricsDoor
from aspora.main.settings import Settings
from aspora.meta.errors import Conflict, Invalid
from aspora.telemetry.metrics import Metrics

PATIENCE_SECONDS = 60


def tasks_but_ours() -> set[str]:
    """What runs besides the test itself; the fixture's pool has tasks of its own, so compare before and after."""
    return {str(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def listening() -> socket.socket:
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def wait_until_it_answers(url: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await answers(url):
            await asyncio.sleep(0.02)


async def serve(dsn: str, folder: Path, bound: socket.socket, ready: asyncio.Event, **more: Any) -> None:
    settings = Settings(data_dir=folder, database_url=dsn, **more)
    config = {"socket_fds": [bound.detach()], "admin_key": mint_key().text, "system_key": mint_key().text}
    await gateway_process.serve(settings, config, asyncio.Event(), lambda _: ready.set())


async def test_a_gateway_that_cannot_begin_leaves_nothing(dsn: str, tmp_path: Path) -> None:
    before, bound = tasks_but_ours(), listening()
    fd = bound.fileno()
    with pytest.raises(Invalid, match="no artifact store"):
        await serve(dsn, tmp_path, bound, asyncio.Event(), artifacts_url="nowhere://x")
    assert tasks_but_ours() == before
    assert not is_open(fd)


async def test_a_gateway_that_is_cancelled_leaves_nothing(dsn: str, tmp_path: Path) -> None:
    before, bound, ready = tasks_but_ours(), listening(), asyncio.Event()
    fd, port = bound.fileno(), bound.getsockname()[1]
    serving = asyncio.create_task(serve(dsn, tmp_path, bound, ready))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ready.wait()
    await wait_until_it_answers(f"http://127.0.0.1:{port}/healthz")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert tasks_but_ours() == before
    assert not is_open(fd)


async def test_a_database_that_is_too_new_is_let_go(dsn: str, database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            b"insert into schema_migrations (number, slug, checksum) values (9999, 'from_the_future', 'x')"
        )
    before = tasks_but_ours()
    with pytest.raises(Conflict):
        await open_database(dsn, max_connections=2)
    assert tasks_but_ours() == before


async def test_a_metrics_door_that_is_cancelled_leaves_nothing() -> None:
    before = tasks_but_ours()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with MetricsDoor(Metrics(), host="127.0.0.1", port=port) as door:
        serving = asyncio.create_task(door.run(asyncio.Event()))
        await wait_until_it_answers(f"http://127.0.0.1:{port}/healthz")
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert tasks_but_ours() == before
