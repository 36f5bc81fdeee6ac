"""Finds waiting inline executions and runs as many at once as there are slots."""

import asyncio
from typing import Final

from aspora.db.listen import Listener, Subscription
from aspora.executor.conduct import Conductor
from aspora.executor.interface import Superseded
from aspora.executor.journal import CallThrough
from aspora.kit.backoff import Backoff
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.records.executions import Executions
from aspora.records.rows import Claim, Owner
from aspora.records.wakeups import PENDING
from aspora.telemetry.logs import get_logger

_PROBE_SECONDS: Final = 0.25
_LISTENING_PROBE_SECONDS: Final = 1.0
"""While wake-ups can come a probe finds only what a dying process never announced."""

_RELEASE_SECONDS: Final = 2.0
_CLAIM_BACKOFF: Final = Backoff(base_seconds=0.1, max_seconds=5.0)
_log = get_logger(__name__)


class InlineDispatcher:
    """Claims and runs, until told to stop.

    Args:
        slots: Executions at once.
    """

    def __init__(
        self, executions: Executions, conductor: Conductor, listener: Listener, owner: Owner, *, slots: int
    ) -> None:
        self._executions = executions
        self._conductor = conductor
        self._listener = listener
        self._owner = owner
        self._slots = slots
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed_claims = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Claim whenever there is a wake-up, a free slot or a probe due; at the stop let what runs come to its end.

        A database that can't be reached is asked again; what runs meanwhile goes on. Cancelled in the last phase, it
        ends what runs and gives it back to the queue.
        """
        try:
            with self._listener.subscribe(PENDING) as wakeups:
                stopping = asyncio.create_task(stop.wait())
                stopping.add_done_callback(lambda _: wakeups.wake())
                try:
                    while not stop.is_set():
                        await self._claim_and_wait(wakeups, stop)
                finally:
                    stopping.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _claim_and_wait(self, wakeups: Subscription, stop: asyncio.Event) -> None:
        free = self._slots - len(self._tasks)
        try:
            claims = await self._executions.claim_inline(self._owner, limit=free) if free > 0 else []
        except StatusError as error:
            _log.warning("no work claimed, trying again", reason=error.reason, attempt=self._failed_claims)
            await wait_for_event(stop, _CLAIM_BACKOFF.delay_seconds(self._failed_claims))
            self._failed_claims += 1
            return
        self._failed_claims = 0
        for claim in claims:
            self._spawn(claim, wakeups)
        if len(claims) < free or free <= 0:
            await wakeups.wait(_LISTENING_PROBE_SECONDS if self._listener.is_connected else _PROBE_SECONDS)

    def _spawn(self, claim: Claim, wakeups: Subscription) -> None:
        task = asyncio.create_task(self._run_one(claim), name=f"inline-{claim.id}")
        self._tasks.add(task)

        def done(_: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            wakeups.wake()

        task.add_done_callback(done)

    async def _run_one(self, claim: Claim) -> None:
        try:
            await self._conductor.conduct(claim, CallThrough())
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise
        except Superseded as error:
            _log.warning("attempt given up", execution=claim.id, attempt=claim.attempt, why=str(error))
            await self._give_back(claim)  # refused where it is another's
        except Exception as error:  # noqa: BLE001 - a task of its own: nobody else would ever hear of it
            _log.error("execution left without an end", error=error, execution=claim.id)

    async def _give_back(self, claim: Claim) -> None:
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._executions.release(claim)
        except (StatusError, TimeoutError) as error:
            cause = type(error).__name__
            _log.warning("execution not given back, its lease must run out", execution=claim.id, cause=cause)
