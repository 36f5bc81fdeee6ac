"""One leader a name: it alone works; its work stops before another may lead, and its late writes are refused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aspora.kit.backoff import Backoff
from aspora.kit.supervise import uninterrupted, wait_for_event
from aspora.meta.errors import StatusError
from aspora.meta.surroundings import Leadership

Led = Callable[[Leadership, asyncio.Event], Awaitable[None]]
"""Work of a leader: writes as that leader, and returns soon after the event is set."""

_BACKOFF = Backoff(base_seconds=0.2, max_seconds=5.0)
_RENEW_RATIO = 1 / 3
_GIVE_UP_RATIO = 2 / 3
"""Of the lease. What is left after it is for a renewal that takes its second to be broken off, and for the work."""

_log = logging.getLogger(__name__)


class Term(Protocol):
    """A lock that is held, and the epoch that began with it."""

    @property
    def epoch(self) -> int:
        """Greater than that of any term before."""
        ...

    @property
    def asked_at(self) -> float:
        """When, by the event loop's clock, the last sign of life was asked for: its lease counts from there."""
        ...

    @property
    def lease_seconds(self) -> float:
        """How long after its last sign of life the holder still has the lock."""
        ...

    async def renew(self) -> None:
        """Show a sign of life.

        Raises:
            StatusError: The term is over, or nobody can tell.
        """
        ...

    async def release(self) -> None:
        """Give the lock back."""
        ...


class LeaderLock(Protocol):
    """The lock of one name."""

    name: str

    async def acquire(self) -> Term:
        """Wait for the lock, and begin a term.

        Raises:
            StatusError: Nobody can tell who holds it.
        """
        ...


async def run_as_leader(
    lock: LeaderLock, run: Led, stop: asyncio.Event, *, grace_seconds: float, backoff: Backoff = _BACKOFF
) -> None:
    """Wait to lead, then run; again after each lost term, until `stop`.

    A wanted stop gives `run` the grace period to finish what it has begun, still leading. A lost term cancels it at
    once, well before the lock can be someone else's.

    Args:
        lock: Whose holder leads.
        run: Called once a term.
        stop: Ends it all.
        grace_seconds: How long `run` may take to return after `stop`.
        backoff: Between tries while the lock can't be asked for.

    Raises:
        Exception: What `run` raised.
    """
    attempt = 0
    while not stop.is_set():
        try:
            term = await _acquire(lock, stop)
        except StatusError as e:
            _log.warning("nobody can tell who leads", extra={"leader": lock.name, "reason": e.reason})
            await wait_for_event(stop, backoff.delay_seconds(attempt))
            attempt += 1
            continue
        if term is None:
            return
        attempt = 0
        _log.info("leading", extra={"leader": lock.name, "epoch": term.epoch})
        try:
            await _lead(term, run, Leadership(lock.name, term.epoch), stop, grace_seconds=grace_seconds)
        finally:
            await term.release()
            _log.info("leading no more", extra={"leader": lock.name, "epoch": term.epoch})


async def _acquire(lock: LeaderLock, stop: asyncio.Event) -> Term | None:
    """A term; None when told to stop first."""
    waiting = asyncio.create_task(lock.acquire(), name=f"lead-{lock.name}")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()  # Nothing is awaited from here until the caller holds it.
    except asyncio.CancelledError:
        await uninterrupted(_give_back(waiting))
        raise
    finally:
        stopping.cancel()
    await uninterrupted(_give_back(waiting))
    return None


async def _give_back(waiting: "asyncio.Task[Term]") -> None:
    """End the wait for a term; one that came all the same is nobody's, and is released."""
    waiting.cancel()
    [outcome] = await asyncio.gather(waiting, return_exceptions=True)
    if not isinstance(outcome, BaseException):
        await outcome.release()


async def _lead(term: Term, run: Led, leadership: Leadership, stop: asyncio.Event, *, grace_seconds: float) -> None:
    """One term: work and signs of life side by side; the end of either ends both."""
    ending = asyncio.Event()

    async def work() -> None:
        await run(leadership, ending)

    working = asyncio.create_task(work(), name=f"leader-{leadership}")
    keeping = asyncio.create_task(_keep(term, leadership), name=f"keep-{leadership}")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        ending.set()
        await asyncio.wait({working, keeping}, timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.set()
        for task in (working, keeping, stopping):
            task.cancel()
        await asyncio.gather(working, keeping, stopping, return_exceptions=True)
    if not working.cancelled():
        working.result()


async def _keep(term: Term, leadership: Leadership) -> None:
    """Show signs of life; returns when leading is no longer sure, well before the lock can be someone else's.

    All is counted from when the last sign was asked for, since the server may have heard it at that very moment.
    """
    loop = asyncio.get_running_loop()
    while True:
        asked_at = term.asked_at
        await asyncio.sleep(asked_at + term.lease_seconds * _RENEW_RATIO - loop.time())
        try:
            async with asyncio.timeout_at(asked_at + term.lease_seconds * _GIVE_UP_RATIO):
                await term.renew()
        except (StatusError, TimeoutError) as e:
            _log.warning("leadership lost", extra={"leader": str(leadership), "cause": type(e).__name__})
            return
