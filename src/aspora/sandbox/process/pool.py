"""The slots of one driver: opened when first needed, lent to one job at a time, replaced when lost."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any

from aspora.meta.errors import Unavailable
from aspora.sandbox.interface import SpawnFailed
from aspora.sandbox.process.slot import Launch, Slot, SlotLost
from aspora.sandbox.process.workspace import Place, Workspace

_log = logging.getLogger(__name__)


class SlotPool:
    """Lends slots, first come first served.

    Who finds none idle waits for the next one, whether it comes back from a job or is newly opened: as many are opened
    in the background as nothing else will serve.

    Args:
        workspace: Gives each further slot its folder and user.
        first_place: Those of the first slot.
        size: Slots at most.
        warm: How many idle slots keep a process waiting.
        launch: How to start that process.

    Attributes:
        busy: Slots lent out, or still cleaning up.
        waiting: Callers that wait for one.
        lost: Supervisors that died.
    """

    def __init__(self, *, workspace: Workspace, first_place: Place, size: int, warm: int, launch: Launch) -> None:
        self._workspace = workspace
        self._warm = warm
        self._launch = launch
        self._free = asyncio.Semaphore(size)
        self._placing = asyncio.Lock()
        self._idle: list[Slot] = []
        self._vacant = [first_place]
        self._upkeep: set[asyncio.Task[None]] = set()
        self._coming = 0  # slots that clean up or open, and will be idle
        self._next: deque[asyncio.Future[Slot]] = deque()
        self.busy = 0
        self.waiting = 0
        self.lost = 0

    @property
    def warm(self) -> int:
        """Idle slots with a waiting process."""
        return sum(slot.child is not None for slot in self._idle)

    async def acquire(self) -> Slot:
        """Wait for a slot.

        Raises:
            SpawnFailed: A new supervisor can't be started.
        """
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.busy += 1
        try:
            while (slot := self._pick() or await self._wait_for_next()).lost:
                await self._bury(slot)
            return slot
        except BaseException:
            self._give_back()
            raise

    def prewarm(self) -> None:
        """Begin to open as many slots as are to wait warm."""
        for _ in range(self._warm):
            self._open_one()

    def release(self, slot: Slot, *, cleaning: bool = True) -> asyncio.Task[None]:
        """Take a slot back; it serves again when the returned task is done.

        Args:
            slot: A slot that was acquired. A lost one is replaced, and what its job left is swept.
            cleaning: Whether it has yet to say that it is ready.
        """
        self._coming += 1
        return self._in_background(self._settle(slot, cleaning=cleaning))

    def forgo(self, acquiring: asyncio.Task[Slot]) -> None:
        """Give up an `acquire` that runs; a slot it still gets is taken back."""
        self._in_background(self._take_back(acquiring))

    async def close(self) -> None:
        """End all supervisors; every slot must have been released."""
        while self._upkeep:
            await asyncio.wait(self._upkeep)
        slots, self._idle = self._idle, []
        await asyncio.gather(*(slot.close() for slot in slots))

    def _pick(self) -> Slot | None:
        """An idle slot, with a waiting process if there is one."""
        if not self._idle:
            return None
        slot = next((slot for slot in self._idle if slot.child is not None), self._idle[-1])
        self._idle.remove(slot)
        return slot

    async def _wait_for_next(self) -> Slot:
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._next.append(future)
        self._open_what_is_missing()
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:  # it came at the same moment
                self._offer(future.result())
            raise

    def _offer(self, slot: Slot) -> None:
        """Give a slot to whoever waits longest; with nobody waiting it stays, warm if there are too few of those."""
        while self._next:
            if not (future := self._next.popleft()).done():
                future.set_result(slot)
                return
        self._idle.append(slot)
        if self.warm < self._warm and slot.child is None:
            try:
                slot.spawn(self._launch)
            except OSError as problem:
                _log.warning("sandbox slot not warmed", extra={"problem": str(problem)})

    def _refuse_one(self, problem: Exception) -> None:
        """Let a caller know that its slot can't be opened: the last one, whom it would have served."""
        while self._next:
            if not (future := self._next.pop()).done():
                future.set_exception(problem)
                return
        _log.warning("sandbox slot not opened", extra={"problem": str(problem)})

    def _open_what_is_missing(self) -> None:
        for _ in range(sum(not future.done() for future in self._next) - self._coming):
            self._open_one()

    def _open_one(self) -> None:
        self._coming += 1
        self._in_background(self._open_for_next())

    async def _open_for_next(self) -> None:
        slot: Slot | None = None
        try:
            slot = await self._open()
        except Exception as problem:  # noqa: BLE001 - whatever it is, who waits must hear of it
            self._refuse_one(problem)
        finally:
            self._coming -= 1
        if slot is not None:
            self._offer(slot)

    async def _open(self) -> Slot:
        """Start a supervisor; it sweeps what a dead one left in the same place before it says that it is ready."""
        async with self._placing:
            place = self._vacant.pop() if self._vacant else await asyncio.to_thread(self._workspace.new_place)
        try:
            slot = Slot(place, lock_fds=self._workspace.lock_fds())
        except OSError as problem:
            self._vacant.append(place)
            raise SpawnFailed(
                f"a sandbox supervisor could not be started: {problem.strerror}; free memory or processes"
            ) from problem
        try:
            await slot.ready()
        except BaseException as problem:
            slot.abandon("it did not become ready")
            await slot.close()
            self._vacant.append(place)
            if isinstance(problem, SlotLost):
                raise SpawnFailed(str(problem)) from problem
            raise
        return slot

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="sandbox slot upkeep")
        self._upkeep.add(task)
        task.add_done_callback(self._upkeep.discard)
        return task

    async def _take_back(self, acquiring: asyncio.Task[Slot]) -> None:
        acquiring.cancel()
        await asyncio.wait({acquiring})
        if not acquiring.cancelled() and acquiring.exception() is None:
            self.release(acquiring.result(), cleaning=False)

    async def _settle(self, slot: Slot, *, cleaning: bool) -> None:
        ready: Slot | None = None
        try:
            if cleaning and not slot.lost:
                with contextlib.suppress(SlotLost):
                    await slot.ready()
            if slot.lost:
                await self._bury(slot)
                slot = await self._open()
            ready = slot
        except (Unavailable, OSError) as problem:
            _log.warning("sandbox slot not readied", extra={"problem": str(problem)})
        finally:
            self._coming -= 1
            self._give_back()
            if ready is not None:
                self._offer(ready)
            self._open_what_is_missing()

    async def _bury(self, slot: Slot) -> None:
        self.lost += 1
        await slot.close()
        self._vacant.append(slot.place)
        _log.warning("sandbox supervisor lost", extra={"slot": str(slot.place.folder), "why": slot.why})

    def _give_back(self) -> None:
        self.busy -= 1
        self._free.release()
