"""Executors launch the workflow engine one by one: who waits says for whom and hears a stop; a dead one is noticed."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import free_port

import aspora.db.embedded as embedded_module
from aspora.db.embedded import EmbeddedPostgres
from aspora.db.socket_dir import Endpoint
from aspora.executor.durable.launching import alone
from aspora.testing.folders import throwaway_folder

PATIENCE_SECONDS = 30
STOP_SECONDS = 20
"""Well over what a stop takes, and under the test's patience with the child."""

ESTABLISHED, KEEPALIVE_TIMER = "01", "02"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


async def test_who_waits_to_launch_says_for_whom_and_hears_a_stop(site: Any) -> None:
    with alone(site.dsn, executor_id="first-1", given_up=threading.Event()):
        waiting = await site.start_executor()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "waiting for another executor" not in waiting.log.read_text():
                await asyncio.sleep(0.05)
        assert "first-1" in waiting.log.read_text()
        async with asyncio.timeout(STOP_SECONDS):
            assert await waiting.kill(signal.SIGTERM) == 0, waiting.log.read_text()
    assert waiting.log.read_text().count("waiting for another executor") == 1
    await site.start_executor(durable=True)


def keepalive_seconds(port: int) -> list[float]:
    """Of a server's established connections: after how much more silence the kernel asks whether the peer is there."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    timers = [row[5].split(":") for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED]
    return [int(ticks, 16) / TICKS_PER_SECOND for kind, ticks in timers if kind == KEEPALIVE_TIMER]


def wait_until(true: Callable[[], bool]) -> None:
    """The kernel has one timer a connection: at first it is that of an acknowledgement."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_server_soon_asks_whether_the_host_that_launches_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(embedded_module, "choose_endpoint", lambda *_: Endpoint(host="127.0.0.1", port=port))
    with (
        throwaway_folder("launch", parent=Path("/tmp")) as folder,
        EmbeddedPostgres(folder, sync=False) as server,
        psycopg.connect(server.dsn),
    ):
        wait_until(lambda: bool(keepalive_seconds(port)))
        assert min(keepalive_seconds(port)) > 60
        with alone(server.dsn, executor_id="first-1", given_up=threading.Event()):
            wait_until(lambda: min(keepalive_seconds(port), default=60) <= 15)
