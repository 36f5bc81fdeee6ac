import asyncio

import pytest

from aspora.kit.supervise import run_loops, run_until, wait_for_any


async def test_work_ends_with_the_stop() -> None:
    stop, began = asyncio.Event(), asyncio.Event()
    left: list[str] = []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.append("cleaned up")

    running = asyncio.create_task(run_until(stop, work()))
    await began.wait()
    assert not running.done()
    stop.set()
    await running
    assert left == ["cleaned up"]


async def test_work_that_fails_is_heard_of() -> None:
    async def work() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await run_until(asyncio.Event(), work())


async def test_work_ends_with_its_caller() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run_until(asyncio.Event(), work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_any_of_several_events_is_enough() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(wait_for_any(first, second))
    await asyncio.sleep(0)
    assert not waiting.done()
    second.set()
    await waiting


async def test_loops_that_obey_the_stop_use_none_of_the_grace() -> None:
    stop = asyncio.Event()

    async def obedient(told: asyncio.Event) -> None:
        await told.wait()

    running = asyncio.create_task(run_loops({"one": obedient, "two": obedient}, stop, grace_seconds=3600))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await running
