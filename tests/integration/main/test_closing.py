"""However a process's part ends, nothing of it goes on: no task, no connection, no socket."""

import asyncio
import socket

import aiohttp
import pytest

from aspora.main.metrics_door import MetricsDoor
from aspora.telemetry.metrics import Metrics

PATIENCE_SECONDS = 60


def tasks_but_ours() -> set[str]:
    """What runs besides the test itself; the fixture's pool has tasks of its own, so compare before and after."""
    return {str(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()}


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
