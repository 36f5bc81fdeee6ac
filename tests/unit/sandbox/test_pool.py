import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from aspora.meta.errors import Unavailable
from aspora.sandbox.interface import SpawnFailed
from aspora.sandbox.process import pool as pool_module
from aspora.sandbox.process.pool import SlotPool
from aspora.sandbox.process.slot import Launch, Slot
from aspora.sandbox.process.workspace import Place, Workspace

LAUNCH = Launch(argv=["python"], env={})


class HandSlot:
    """A slot whose supervisor is ready when the test says so."""

    made: list["HandSlot"]

    def __init__(self, place: Place, *, lock_fds: Sequence[int]) -> None:
        self.place = place
        self.child: object | None = None
        self.lost = False
        self.why = ""
        self.is_open = asyncio.Event()
        self.closed = False
        self.made.append(self)

    async def ready(self) -> None:
        await self.is_open.wait()

    def spawn(self, launch: Launch) -> None:
        self.child = launch

    def abandon(self, why: str) -> None:
        self.lost, self.why = True, why

    async def close(self) -> None:
        self.closed = True


class Places:
    """Folders without a disk."""

    def __init__(self) -> None:
        self.given = 1

    def new_place(self) -> Place:
        self.given += 1
        return Place(folder=Path(f"/slot-{self.given}"), uid=None, claim=None)

    def lock_fds(self) -> list[int]:
        return []


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[HandSlot]:
    slots: list[HandSlot] = []
    monkeypatch.setattr(HandSlot, "made", slots, raising=False)
    monkeypatch.setattr(pool_module, "Slot", HandSlot)
    return slots


def make(*, size: int, warm: int = 0) -> SlotPool:
    first = Place(folder=Path("/slot-1"), uid=None, claim=None)
    places = cast("Workspace", Places())
    return SlotPool(workspace=places, first_place=first, size=size, warm=warm, launch=LAUNCH)


async def appear(made: list[HandSlot], count: int) -> None:
    async with asyncio.timeout(30):
        while len(made) < count:
            await asyncio.sleep(0)


async def the_slot(pool: SlotPool, made: list[HandSlot]) -> Slot:
    """The first slot, lent out."""
    lending = asyncio.create_task(pool.acquire())
    await appear(made, 1)
    made[0].is_open.set()
    return await lending


async def test_a_slot_that_comes_back_serves_who_waits_for_a_new_one(made: list[HandSlot]) -> None:
    pool = make(size=2)
    first = await the_slot(pool, made)
    waiting = asyncio.create_task(pool.acquire())
    await appear(made, 2)
    assert not made[1].is_open.is_set()
    pool.release(first)
    async with asyncio.timeout(30):
        assert await waiting is first


async def test_no_slot_is_opened_while_one_cleans_up(made: list[HandSlot]) -> None:
    pool = make(size=2)
    first = await the_slot(pool, made)
    made[0].is_open.clear()
    settled = pool.release(first)
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    made[0].is_open.set()
    await settled
    assert await waiting is first
    assert len(made) == 1


async def test_an_opening_that_fails_is_heard_of_by_one_caller(
    made: list[HandSlot], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make(size=3)
    first = await the_slot(pool, made)

    def refuse(*_: Any, **__: Any) -> HandSlot:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(pool_module, "Slot", refuse)
    with pytest.raises(SpawnFailed, match="too many open files"):
        await pool.acquire()
    monkeypatch.setattr(pool_module, "Slot", HandSlot)
    pool.release(first)
    async with asyncio.timeout(30):
        assert await pool.acquire() is first
    assert pool.busy == 1


async def test_who_came_first_is_not_refused_for_who_came_last(
    made: list[HandSlot], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make(size=3)
    first = await the_slot(pool, made)
    made[0].is_open.clear()
    pool.release(first)
    early = asyncio.create_task(pool.acquire())  # for which the first slot is cleaning up
    await asyncio.sleep(0)

    def refuse(*_: Any, **__: Any) -> HandSlot:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(pool_module, "Slot", refuse)
    with pytest.raises(SpawnFailed, match="too many open files"):
        await pool.acquire()
    made[0].is_open.set()
    async with asyncio.timeout(30):
        assert await early is first


@pytest.mark.parametrize("turns", range(6))
async def test_a_slot_given_to_a_caller_who_leaves_is_not_lost(made: list[HandSlot], turns: int) -> None:
    pool = make(size=1)
    leaving = asyncio.create_task(pool.acquire())
    await appear(made, 1)
    made[0].is_open.set()
    for _ in range(turns):  # before, at and after the moment between gift and taking
        await asyncio.sleep(0)
    pool.forgo(leaving)
    async with asyncio.timeout(30):
        assert await pool.acquire() is cast("Slot", made[0])
    assert (pool.busy, len(made)) == (1, 1)


@pytest.mark.parametrize("turns", range(6))
async def test_a_slot_lost_before_it_is_taken_is_replaced(made: list[HandSlot], turns: int) -> None:
    pool = make(size=1)
    lending = asyncio.create_task(pool.acquire())
    await appear(made, 1)
    made[0].is_open.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if lending.done():
        return
    made[0].abandon("the test says so")
    await appear(made, 2)
    made[1].is_open.set()
    async with asyncio.timeout(30):
        assert await lending is cast("Slot", made[1])
    assert (pool.busy, pool.lost, made[0].closed) == (1, 1, True)


async def test_warm_slots_open_without_anybody_waiting(made: list[HandSlot]) -> None:
    pool = make(size=4, warm=2)
    pool.prewarm()
    await appear(made, 2)
    for slot in made:
        slot.is_open.set()
    async with asyncio.timeout(30):
        while pool.warm < 2:
            await asyncio.sleep(0)
    assert (len(made), pool.busy) == (2, 0)
    await pool.close()
    assert all(slot.closed for slot in made)


class Crowd:
    """Callers who come, use slots, lose some and leave, as a seed has it."""

    def __init__(self, pool: SlotPool, made: list[HandSlot], rand: random.Random) -> None:
        self._pool = pool
        self._made = made
        self._rand = rand
        self._lent: set[Slot] = set()

    async def open_slowly(self) -> None:
        while True:
            for slot in self._made:
                if self._rand.random() < 0.3:
                    slot.is_open.set()
            await asyncio.sleep(0)

    async def use(self) -> None:
        for _ in range(5):
            slot = await self._pool.acquire()
            assert slot not in self._lent
            self._lent.add(slot)
            await self._dawdle()
            self._lent.discard(slot)
            if self._rand.random() < 0.1:
                slot.abandon("the test says so")
            self._pool.release(slot)
            assert sum(not slot.closed for slot in self._made) <= 3

    async def leave(self) -> None:
        await self._dawdle()
        acquiring = asyncio.create_task(self._pool.acquire())
        await self._dawdle()
        self._pool.forgo(acquiring)

    async def _dawdle(self) -> None:
        for _ in range(self._rand.randrange(4)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(20))
async def test_many_callers_are_all_served_by_no_more_slots_than_allowed(made: list[HandSlot], seed: int) -> None:
    rand = random.Random(seed)
    pool = make(size=3, warm=rand.randrange(4))
    pool.prewarm()
    crowd = Crowd(pool, made, rand)
    opener = asyncio.create_task(crowd.open_slowly())
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(crowd.use() for _ in range(6)), *(crowd.leave() for _ in range(4)))
            await pool.close()
    finally:
        opener.cancel()
    assert (pool.busy, pool.waiting) == (0, 0)


async def test_a_defect_while_opening_reaches_the_caller(made: list[HandSlot], monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: HandSlot) -> None:
        raise Unavailable("not to be had")

    monkeypatch.setattr(HandSlot, "ready", broken)
    with pytest.raises(Unavailable, match="not to be had"):
        await make(size=1).acquire()
    assert made[0].closed
