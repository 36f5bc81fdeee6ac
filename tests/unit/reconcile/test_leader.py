"""Leading, with a lock that does as it is told."""

import asyncio
import contextlib

import pytest

from aspora.kit.backoff import Backoff
from aspora.meta.errors import Unavailable
from aspora.meta.surroundings import Leadership
from aspora.reconcile.leader import run_as_leader

FAST = Backoff(base_seconds=0.001, max_seconds=0.001)


class FakeTerm:
    def __init__(self, epoch: int, *, lease_seconds: float) -> None:
        self.epoch = epoch
        self.asked_at = asyncio.get_running_loop().time()
        self.lease_seconds = lease_seconds
        self.is_released = False
        self.renewals = 0
        self.is_lost = False
        self.hangs = False

    async def renew(self) -> None:
        self.renewals += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_lost:
            raise Unavailable("the session is gone")
        self.asked_at = asyncio.get_running_loop().time()

    async def release(self) -> None:
        self.is_released = True


class FakeLock:
    """Gives the terms prepared for it, then waits for ever."""

    name = "controllers"

    def __init__(self, *terms: FakeTerm | Exception) -> None:
        self.terms = list(terms)
        self.is_late: asyncio.Event | None = None
        """With it the term comes when it is set, or just when the wait for it is cancelled."""

    async def acquire(self) -> FakeTerm:
        if not self.terms:
            await asyncio.Event().wait()
        term = self.terms.pop(0)
        if isinstance(term, Exception):
            raise term
        if self.is_late is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self.is_late.wait()
        return term


class Work:
    """Runs until told, and remembers how it ended."""

    def __init__(self, *, lingers: bool = False) -> None:
        self.began: list[Leadership] = []
        self.ends: list[str] = []
        self.running = asyncio.Event()
        self._lingers = lingers

    async def __call__(self, leadership: Leadership, stop: asyncio.Event) -> None:
        self.began.append(leadership)
        self.running.set()
        try:
            await stop.wait()
            if self._lingers:
                await asyncio.Event().wait()
            self.ends.append("finished")
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise


async def test_a_wanted_stop_lets_the_work_finish_and_gives_the_lock_back() -> None:
    term, work, stop = FakeTerm(7, lease_seconds=60), Work(), asyncio.Event()
    task = asyncio.create_task(run_as_leader(FakeLock(term), work, stop, grace_seconds=5))
    async with asyncio.timeout(30):
        await work.running.wait()
        assert not term.is_released
        stop.set()
        await task
    assert work.began == [Leadership("controllers", 7)]
    assert work.ends == ["finished"]
    assert term.is_released


async def test_work_that_lingers_is_cancelled_after_the_grace() -> None:
    term, work, stop = FakeTerm(1, lease_seconds=60), Work(lingers=True), asyncio.Event()
    task = asyncio.create_task(run_as_leader(FakeLock(term), work, stop, grace_seconds=0.01))
    async with asyncio.timeout(30):
        await work.running.wait()
        stop.set()
        await task
    assert work.ends == ["cancelled"]
    assert term.is_released


@pytest.mark.parametrize("trouble", ["is_lost", "hangs"])
async def test_a_lost_term_ends_the_work_within_the_lease_and_the_next_begins(trouble: str) -> None:
    lease = 0.3
    first, second = FakeTerm(1, lease_seconds=lease), FakeTerm(2, lease_seconds=60)
    work, stop = Work(lingers=True), asyncio.Event()
    setattr(first, trouble, True)
    task = asyncio.create_task(run_as_leader(FakeLock(first, second), work, stop, grace_seconds=60))
    async with asyncio.timeout(30):
        await work.running.wait()
        while len(work.began) < 2:
            await asyncio.sleep(0.005)
        assert work.ends == ["cancelled"]
        assert first.is_released
        assert first.renewals == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert second.is_released


async def test_a_term_that_comes_at_the_moment_of_a_stop_or_a_cancellation_is_given_back() -> None:
    for end in ("stop", "cancel"):
        term, work, stop = FakeTerm(1, lease_seconds=60), Work(), asyncio.Event()
        lock = FakeLock(term)
        lock.is_late = asyncio.Event()
        task = asyncio.create_task(run_as_leader(lock, work, stop, grace_seconds=1))
        while lock.terms:
            await asyncio.sleep(0)
        if end == "stop":
            stop.set()
        else:
            task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(task, return_exceptions=True)
        assert term.is_released, end
        assert work.began == []


async def test_a_term_that_was_asked_for_long_ago_is_given_up_so_much_earlier() -> None:
    lease, loop = 6.0, asyncio.get_running_loop()
    first, work = FakeTerm(1, lease_seconds=lease), Work(lingers=True)
    first.asked_at -= lease / 2  # The answer took half the lease: the server may have counted all that time.
    first.hangs = True
    since = loop.time()
    task = asyncio.create_task(run_as_leader(FakeLock(first), work, asyncio.Event(), grace_seconds=60))
    async with asyncio.timeout(30):
        while not first.is_released:
            await asyncio.sleep(0.005)
    assert work.ends == ["cancelled"]
    assert loop.time() - since < lease / 2, "before the server lets another lead"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_renewal_that_takes_a_quarter_of_the_lease_deposes_nobody() -> None:
    lease = 6.0
    term, work, stop = FakeTerm(1, lease_seconds=lease), Work(), asyncio.Event()
    quick = term.renew

    async def slow() -> None:
        asked_at = asyncio.get_running_loop().time()
        await asyncio.sleep(lease / 4)
        await quick()
        term.asked_at = asked_at

    term.renew = slow  # type: ignore[method-assign]
    task = asyncio.create_task(run_as_leader(FakeLock(term), work, stop, grace_seconds=5))
    async with asyncio.timeout(30):
        while term.renewals < 2:
            await asyncio.sleep(0.005)
        stop.set()
        await task
    assert work.ends == ["finished"]


async def test_while_nobody_can_tell_it_asks_again_and_a_stop_ends_the_wait() -> None:
    work, stop = Work(), asyncio.Event()
    lock = FakeLock(Unavailable("away"), Unavailable("away"))
    task = asyncio.create_task(run_as_leader(lock, work, stop, grace_seconds=1, backoff=FAST))
    async with asyncio.timeout(30):
        while lock.terms:
            await asyncio.sleep(0.001)
        stop.set()
        await task
    assert work.began == []


async def test_what_the_work_raises_is_raised() -> None:
    async def fail(_leadership: Leadership, _stop: asyncio.Event) -> None:
        raise RuntimeError("a defect")

    term = FakeTerm(1, lease_seconds=60)
    with pytest.raises(RuntimeError, match="a defect"):
        await run_as_leader(FakeLock(term), fail, asyncio.Event(), grace_seconds=1)
    assert term.is_released
