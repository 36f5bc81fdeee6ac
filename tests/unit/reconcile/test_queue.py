import asyncio

from aspora.kit.backoff import Backoff
from aspora.kit.bucket import TokenBucket
from aspora.reconcile.interface import Request
from aspora.reconcile.queue import WorkQueue

A, B = Request("d", "a"), Request("d", "b")


async def take(queue: WorkQueue) -> Request:
    async with asyncio.timeout(30):
        return await queue.take()


async def test_a_name_waits_once() -> None:
    queue = WorkQueue()
    for request in (A, A, B, A):
        queue.add(request)
    assert [await take(queue), await take(queue)] == [A, B]
    queue.done(A)
    queue.done(B)
    assert len(queue) == 0


async def test_a_change_during_work_brings_the_name_back_only_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await take(queue) == A
    queue.add(A)
    queue.add(B)
    assert await take(queue) == B
    queue.done(A)
    assert await take(queue) == A


async def test_failures_come_back_after_growing_delays_and_success_forgets_them() -> None:
    queue = WorkQueue(backoff=Backoff(base_seconds=0.001, factor=2, jitter_ratio=0))
    queue.add(A)
    for _ in range(3):
        assert await take(queue) == A
        queue.done(A, failed=True)
    assert await take(queue) == A
    queue.done(A)
    assert queue._failures == {}


async def test_the_earlier_of_two_delays_wins() -> None:
    queue = WorkQueue()
    queue.add_after(A, 60)
    queue.add_after(A, 0.001)
    queue.add_after(A, 60)
    assert await take(queue) == A


async def test_an_immediate_wish_cancels_the_delayed_one() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.001)
    queue.add(A)
    assert await take(queue) == A
    queue.done(A)
    await asyncio.sleep(0.005)
    assert len(queue) == 0


async def test_idle_tells_when_nothing_is_being_worked_on_and_a_closed_queue_hands_out_nothing() -> None:
    queue = WorkQueue()
    assert queue.idle.is_set()
    queue.add(A)
    await take(queue)
    assert queue.busy
    queue.add_after(B, 0.0)
    queue.close()
    queue.done(A)
    assert queue.idle.is_set()
    queue.add(B)
    assert len(queue) == 0


async def test_many_that_fail_at_once_come_back_spread_out() -> None:
    now = 0.0
    bucket = TokenBucket(per_second=1, burst=2, monotonic=lambda: now)
    queue = WorkQueue(backoff=Backoff(base_seconds=0.001, jitter_ratio=0), retries=bucket)
    for n in range(4):
        queue.add(Request("d", str(n)))
    for _ in range(4):
        queue.done(await take(queue), failed=True)
    loop = asyncio.get_running_loop()
    waits = sorted(round(timer.when() - loop.time()) for timer in queue._timers.values())
    assert waits == [0, 0, 1, 2]
    queue.close()
