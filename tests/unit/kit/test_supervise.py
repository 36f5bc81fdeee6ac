import asyncio

import pytest

from aspora.kit.supervise import flush_when_told, run_loops, run_until, running_loops, wait_for_any


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
    async with asyncio.timeout(30):
        await running


async def test_what_is_told_is_flushed_and_what_came_with_the_stop_too() -> None:
    told, stop, heap, flushed = asyncio.Event(), asyncio.Event(), list[str](), list[str]()
    once = asyncio.Event()

    async def flush() -> None:
        while heap:
            flushed.append(heap.pop(0))
        once.set()

    def tell(what: str) -> None:
        heap.append(what)
        told.set()

    tell("before it runs")
    running = asyncio.create_task(flush_when_told(told, flush, stop))
    async with asyncio.timeout(30):
        await once.wait()
        assert flushed == ["before it runs"]
        tell("a")
        stop.set()
        tell("b")
        await running
    assert flushed == ["before it runs", "a", "b"]


async def test_more_may_gather_before_a_flush_and_a_stop_cuts_that_short() -> None:
    told, stop, flushes = asyncio.Event(), asyncio.Event(), list[bool]()

    async def flush() -> None:
        flushes.append(told.is_set())

    running = asyncio.create_task(flush_when_told(told, flush, stop, gather_seconds=3600))
    told.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert flushes == []
    async with asyncio.timeout(30):
        stop.set()
        await running
    assert flushes == [False]


async def test_loops_beside_a_block_end_with_it() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def loop(stop: asyncio.Event) -> None:
        began.set()
        await stop.wait()
        ended.set()

    async with running_loops({"one": loop}, grace_seconds=5):
        await began.wait()
        assert not ended.is_set()
    assert ended.is_set()
