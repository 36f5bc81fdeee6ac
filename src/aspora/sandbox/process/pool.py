"""The slots of one driver: opened when first needed, lent to one job at a time, replaced when lost."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from aspora.meta.errors import Unavailable
from aspora.sandbox.interface import SpawnFailed
from aspora.sandbox.process.slot import Launch, Slot, SlotLost
from aspora.sandbox.process.workspace import Place, Workspace

_log = logging.getLogger(__name__)


class SlotPool:
    """Lends slots, first come first served.

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
        self._settling: set[asyncio.Task[None]] = set()
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
            # A slot that cleans up is there sooner than a new supervisor.
            while not self._idle and self._settling:
                await asyncio.wait(self._settling, return_when=asyncio.FIRST_COMPLETED)
            while (slot := self._pick()) is not None:
                if not slot.lost:
                    return slot
                await self._bury(slot)
            return await self._open()
        except BaseException:
            self._give_back()
            raise

    async def prewarm(self) -> None:
        """Open as many slots as are to wait warm.

        Raises:
            SpawnFailed: A supervisor can't be started.
        """
        slots = await asyncio.gather(*(self.acquire() for _ in range(self._warm)), return_exceptions=True)
        for slot in slots:
            if isinstance(slot, Slot):
                self.release(slot, cleaning=False)
        for problem in slots:
            if isinstance(problem, BaseException):
                raise problem

    def release(self, slot: Slot, *, cleaning: bool = True) -> asyncio.Task[None]:
        """Take a slot back; it serves again when the returned task is done.

        Args:
            slot: A slot that was acquired. A lost one is replaced, and what its job left is swept.
            cleaning: Whether it has yet to say that it is ready.
        """
        return self._in_background(self._settle(slot, cleaning=cleaning))

    def forgo(self, acquiring: asyncio.Task[Slot]) -> None:
        """Give up an `acquire` that runs; a slot it still gets is taken back."""
        self._in_background(self._take_back(acquiring))

    async def close(self) -> None:
        """End all supervisors; every slot must have been released."""
        while self._settling:
            await asyncio.wait(self._settling)
        slots, self._idle = self._idle, []
        await asyncio.gather(*(slot.close() for slot in slots))

    def _pick(self) -> Slot | None:
        """An idle slot, with a waiting process if there is one."""
        if not self._idle:
            return None
        slot = next((slot for slot in self._idle if slot.child is not None), self._idle[-1])
        self._idle.remove(slot)
        return slot

    async def _open(self) -> Slot:
        """Start a supervisor; it sweeps what a dead one left in the same place before it says that it is ready."""
        async with self._placing:
            place = self._vacant.pop() if self._vacant else await asyncio.to_thread(self._workspace.new_place)
        try:
            slot = Slot(place, lock_fds=self._workspace.lock_fds())
        except OSError as problem:
            self._vacant.append(place)
            raise SpawnFailed(f"a sandbox supervisor could not be started: {problem.strerror}") from problem
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
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _take_back(self, acquiring: asyncio.Task[Slot]) -> None:
        acquiring.cancel()
        await asyncio.wait({acquiring})
        if not acquiring.cancelled() and acquiring.exception() is None:
            self.release(acquiring.result(), cleaning=False)

    async def _settle(self, slot: Slot, *, cleaning: bool) -> None:
        try:
            if cleaning and not slot.lost:
                with contextlib.suppress(SlotLost):
                    await slot.ready()
            if slot.lost:
                await self._bury(slot)
                slot = await self._open()
            self._idle.append(slot)
            if self.warm < self._warm and slot.child is None:
                slot.spawn(self._launch)
        except (Unavailable, OSError) as problem:
            _log.warning("sandbox slot not readied", extra={"problem": str(problem)})
        finally:
            self._give_back()

    async def _bury(self, slot: Slot) -> None:
        self.lost += 1
        await slot.close()
        self._vacant.append(slot.place)
        _log.warning("sandbox supervisor lost", extra={"slot": str(slot.place.folder), "why": slot.why})

    def _give_back(self) -> None:
        self.busy -= 1
        self._free.release()
