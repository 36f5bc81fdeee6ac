"""The work queue: one place a name, never the same name twice at once, failures retried after growing delays."""

import asyncio
import time
from collections import OrderedDict

from aspora.kit.backoff import Backoff
from aspora.kit.bucket import TokenBucket
from aspora.reconcile.interface import Request


class WorkQueue:
    """Names waiting to be reconciled.

    A name added while it waits is kept once. A name added while it is being worked on waits until `done`, then comes
    again: no change is lost and no object is worked on by two workers.

    Args:
        backoff: Delays of one name's retries, by the number of its failures in a row.
        retries: Shared by the retries of all names, so that many that fail at once come back spread out.
    """

    def __init__(self, *, backoff: Backoff | None = None, retries: TokenBucket | None = None) -> None:
        self._backoff = backoff or Backoff(base_seconds=0.05, max_seconds=60)
        self._retries = retries or TokenBucket(per_second=10, burst=100, monotonic=time.monotonic)
        self._waiting: OrderedDict[Request, None] = OrderedDict()
        self._active: set[Request] = set()
        self._again: set[Request] = set()
        self._failures: dict[Request, int] = {}
        self._timers: dict[Request, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self.idle = asyncio.Event()
        """Set while no name is being worked on."""
        self.idle.set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._active)

    @property
    def busy(self) -> bool:
        """Whether a name is being worked on."""
        return bool(self._active)

    def add(self, request: Request) -> None:
        """Ask for a look at the name, now."""
        timer = self._timers.pop(request, None)
        if timer is not None:
            timer.cancel()
        if self._closed:
            return
        if request in self._active:
            self._again.add(request)
        else:
            self._waiting[request] = None
            self._wake.set()

    def add_after(self, request: Request, delay_seconds: float) -> None:
        """Ask for a look later; an earlier wish wins."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_seconds
        pending = self._timers.get(request)
        if pending is not None and pending.when() <= due:
            return
        if pending is not None:
            pending.cancel()
        self._timers[request] = loop.call_at(due, self.add, request)

    async def take(self) -> Request:
        """The next name, marked as being worked on; waits for one."""
        while self._closed or not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        request, _ = self._waiting.popitem(last=False)
        self._active.add(request)
        self.idle.clear()
        return request

    def done(self, request: Request, *, failed: bool = False) -> None:
        """Finish the work on a name; a failure brings it back after its own growing delay."""
        self._active.discard(request)
        if not self._active:
            self.idle.set()
        if failed:
            attempt = self._failures.get(request, 0)
            self._failures[request] = attempt + 1
            self.add_after(request, max(self._backoff.delay_seconds(attempt), self._retries.delay_seconds()))
        else:
            self._failures.pop(request, None)
        if request in self._again:
            self._again.discard(request)
            self.add(request)

    def close(self) -> None:
        """Hand out no more names and forget delayed work, so that no timer outlives the queue."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
