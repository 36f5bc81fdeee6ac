"""Run named loops side by side and stop them by design: no new work, a grace period, then cancellation."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aspora.kit.backoff import Backoff

T = TypeVar("T")

Loop = Callable[[asyncio.Event], Awaitable[None]]
"""A loop: runs until the event is set, then finishes what it has begun and returns."""

_log = logging.getLogger(__name__)


async def wait_for_event(event: asyncio.Event, timeout_seconds: float) -> bool:
    """Wait for an event at most so long; True when it was set. The one way Aspora's loops pause."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def wait_for_any(*events: asyncio.Event) -> None:
    """Wait until one of these events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def wait_for_stop(stop: asyncio.Event, *tasks: "asyncio.Task[Any]") -> None:
    """Wait until told to stop, or until one of these tasks has ended."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


async def flush_when_told(
    told: asyncio.Event, flush: Callable[[], Awaitable[None]], stop: asyncio.Event, *, gather_seconds: float = 0.0
) -> None:
    """Call `flush` after each time that `told` is set, until told to stop, and then once more.

    Args:
        told: Set by whoever leaves something to flush; cleared before each flush, so nothing is overlooked.
        flush: Takes what is there. What it sets `told` for is flushed again.
        gather_seconds: How long more may gather before each flush; a stop cuts it short.
    """
    is_last = False
    while not is_last:
        await wait_for_any(told, stop)
        if gather_seconds:
            await wait_for_event(stop, gather_seconds)
        is_last = stop.is_set()
        told.clear()
        await flush()


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run work that has nothing to finish: once `stop` is set it is cancelled; what it raises before is raised here."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def uninterrupted(work: Awaitable[T]) -> T:
    """Await work to its end even when cancelled meanwhile; the cancellation is raised afterwards.

    For blocking calls in threads, which can't be cancelled and must not overlap with their own clean-up.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()
        raise asyncio.CancelledError
    return task.result()


async def restart_on_failure(name: str, loop: Loop, stop: asyncio.Event, *, backoff: Backoff) -> None:
    """Keep a loop alive: an exception is logged by type and the loop begins again after a growing delay."""
    attempt = 0
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await loop(stop)
            return
        except Exception:  # noqa: BLE001 - whatever fails is logged and tried again
            _log.exception("loop failed", extra={"loop": name, "attempt": attempt})
        healthy = asyncio.get_running_loop().time() - started > backoff.max_seconds
        attempt = 0 if healthy else attempt + 1
        await wait_for_event(stop, backoff.delay_seconds(attempt))


async def run_loops(
    loops: Mapping[str, Loop], stop: asyncio.Event, *, grace_seconds: float, backoff: Backoff | None = None
) -> None:
    """Run all loops until `stop` is set, then give them `grace_seconds` to return and cancel the rest."""
    policy = backoff or Backoff(base_seconds=0.2, max_seconds=15)
    tasks = {
        asyncio.create_task(restart_on_failure(name, loop, stop, backoff=policy), name=name)
        for name, loop in loops.items()
    }
    try:
        await stop.wait()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running_loops(loops: Mapping[str, Loop], *, grace_seconds: float) -> AsyncGenerator[None]:
    """Run loops beside the block; at its end they are stopped as `run_loops` does."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_loops(loops, stop, grace_seconds=grace_seconds), name="loops")
    try:
        yield
    finally:
        stop.set()
        await running
