"""A controller: informers feed names into a queue, workers hand them to the reconciler."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from aspora.client.interface import Wire
from aspora.kit.backoff import Backoff
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.reconcile.informer import Informer
from aspora.reconcile.interface import Reconciler, Request
from aspora.reconcile.queue import WorkQueue

Mapper = Callable[[Wire], Iterable[Request]]
"""From a changed object to the names that must be looked at."""

Poll = Callable[[], Awaitable[Iterable[Request]]]
"""Looks at what is no object and so has no events; answers the names that must be looked at."""

POLL_JITTER_RATIO = 0.1

_log = logging.getLogger(__name__)


class Controller:
    """Runs one reconciler over the changes of some informers.

    Args:
        name: For logs.
        reconciler: What to do for a name.
        workers: How many names at once.
        queue: For tests; a fresh one otherwise.
    """

    def __init__(self, name: str, reconciler: Reconciler, *, workers: int = 4, queue: WorkQueue | None = None) -> None:
        self.name = name
        self._reconciler = reconciler
        self._workers = workers
        self._queue = queue or WorkQueue()
        self._informers: list[Informer] = []
        self._polls: list[tuple[float, Poll]] = []

    def poll(self, interval_seconds: float, poll: Poll) -> None:
        """Call `poll` every so often while the controller runs; a poll that fails is left out."""
        self._polls.append((interval_seconds, poll))

    def watch(self, informer: Informer, mapper: Mapper) -> None:
        """Look at `mapper(object)` on each change that the informer sees."""

        def on_change(_: Request, obj: Wire) -> None:
            for request in mapper(obj):
                self._queue.add(request)

        informer.listen(on_change)
        self._informers.append(informer)

    @property
    def informers(self) -> tuple[Informer, ...]:
        """Those that must run for the controller to hear of anything."""
        return tuple(self._informers)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; what is being worked on then is finished first."""
        for informer in self._informers:
            await informer.synced.wait()
        workers = [asyncio.create_task(self._work(), name=f"{self.name}-{n}") for n in range(self._workers)]
        workers += [asyncio.create_task(self._keep_polling(*poll, stop)) for poll in self._polls]
        try:
            await stop.wait()
            self._queue.close()
            await self._queue.idle.wait()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _keep_polling(self, interval_seconds: float, poll: Poll, stop: asyncio.Event) -> None:
        pause = Backoff(base_seconds=interval_seconds, max_seconds=interval_seconds, jitter_ratio=POLL_JITTER_RATIO)
        while not stop.is_set():
            try:
                for request in await poll():
                    self._queue.add(request)
            except StatusError as e:
                _log.info("poll left out", extra={"controller": self.name, "reason": e.reason})
            except Exception:  # noqa: BLE001 - whatever fails is logged and tried again
                _log.exception("poll failed", extra={"controller": self.name})
            await wait_for_event(stop, pause.delay_seconds(0))

    async def _work(self) -> None:
        while True:
            request = await self._queue.take()
            failed = True
            try:
                result = await self._reconciler.reconcile(request)
                failed = False
                if result.requeue_after_seconds is not None:
                    self._queue.add_after(request, result.requeue_after_seconds)
            except StatusError as e:
                _log.info(
                    "reconcile will be retried",
                    extra={"controller": self.name, "reason": e.reason, "object": request.name},
                )
            except Exception:  # noqa: BLE001 - whatever fails is logged and tried again
                _log.exception("reconcile failed", extra={"controller": self.name, "object": request.name})
            finally:
                self._queue.done(request, failed=failed)
