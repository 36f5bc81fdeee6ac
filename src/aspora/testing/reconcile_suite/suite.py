"""The suite: absent objects, three runs and one write, conflicts, generations, crashes anywhere, deletes in between."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest

from aspora.client.interface import Client, Records
from aspora.meta.errors import Conflict, StatusError, Unavailable
from aspora.reconcile.interface import Reconciler, Request
from aspora.testing.reconcile_suite.clients import BreakingClient, CountingClient, HookedClient

MAX_CALLS = 60
"""A reconcile that makes more calls than this has no end."""

Actor = HookedClient


class World(Protocol):
    """Some objects of which one wants a reconcile; each world is apart from all others.

    Attributes:
        client: May do everything.
        records: What else the reconciler reads; None for nothing.
        request: Names the object that wants work.
        reports_generation: Whether the reconciler keeps `status.observedGeneration` of that object.
    """

    client: Client
    records: Records | None
    request: Request
    reports_generation: bool

    async def reconciler(self, actor: Actor) -> Reconciler:
        """A fresh one, as after a restart, which acts through `actor` and knows the present state."""
        ...

    async def state(self) -> Any:
        """What there is now, without what differs from world to world: uids, versions, times, names of the world."""
        ...

    async def change(self) -> None:
        """Ask for something else than before."""
        ...

    async def remove(self) -> None:
        """Delete the named object; nothing when it is gone."""
        ...


NewWorld = Callable[[], AbstractAsyncContextManager[World]]


class ReconcilerSuite:
    """Subclasses have a fixture `new_world` that gives a `NewWorld`."""

    async def test_an_absent_object_is_no_error_and_no_reason_to_write(self, new_world: NewWorld) -> None:
        """A name that nothing has, any more or yet."""
        async with new_world() as world:
            counting = CountingClient(world.client, world.records)
            reconciler = await world.reconciler(counting)
            name = "there-is-no-such-thing"
            await reconciler.reconcile(Request(world.request.domain, name, world.request.kind))
            assert counting.writes == 0

    async def test_three_runs_write_no_more_than_one(self, new_world: NewWorld) -> None:
        """The first does the work, the others find it done."""
        async with new_world() as world:
            counts: list[int] = []
            states: list[Any] = []
            for _ in range(3):
                counting = CountingClient(world.client, world.records)
                await (await world.reconciler(counting)).reconcile(world.request)
                counts.append(counting.writes)
                states.append(await world.state())
            assert counts[0] > 0
            assert counts[1:] == [0, 0]
            assert states[0] == states[1] == states[2]

    async def test_a_conflict_is_for_the_next_run(self, new_world: NewWorld) -> None:
        """Whoever was faster, the second try ends where the first would have."""
        wanted = await _undisturbed(new_world)
        for at in range(await _calls(new_world)):
            async with new_world() as world:
                breaking = BreakingClient(
                    world.client, world.records, at=at, error=Conflict("somebody was faster"), only_writes=True
                )
                await _attempt(await world.reconciler(breaking), world.request)
                await _settle(world)
                assert await world.state() == wanted, f"a conflict from call {at} on"

    async def test_observed_generation_follows(self, new_world: NewWorld) -> None:
        """The status says which wish it speaks of."""
        async with new_world() as world:
            if not world.reports_generation:
                pytest.skip("this reconciler reports no generation")
            for _ in range(2):
                await _settle(world)
                obj = await world.client.get(world.request.kind, world.request.name, domain=world.request.domain)
                assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
                await world.change()

    @pytest.mark.parametrize("takes_effect", [False, True])
    async def test_a_crash_at_any_call_heals(self, new_world: NewWorld, takes_effect: bool) -> None:
        """Killed or cut off before a call, or between its effect and its answer."""
        wanted = await _undisturbed(new_world)
        for at in range(await _calls(new_world)):
            for error in (asyncio.CancelledError(), Unavailable("cut off here")):
                async with new_world() as world:
                    breaking = BreakingClient(
                        world.client, world.records, at=at, error=error, takes_effect=takes_effect
                    )
                    await _attempt(await world.reconciler(breaking), world.request)
                    # A read that finds nothing has no answer that could get lost.
                    assert breaking.has_broken or takes_effect
                    await _settle(world)
                    assert await world.state() == wanted, f"{type(error).__name__} at call {at}"

    async def test_a_late_event_finds_the_work_done(self, new_world: NewWorld) -> None:
        """Two changes and one look do what two looks do; the second look writes nothing."""
        async with new_world() as world:
            await _settle(world)
            await world.change()
            await _settle(world)
            wanted = await world.state()
        async with new_world() as world:
            await world.change()
            await _settle(world)
            counting = CountingClient(world.client, world.records)
            await (await world.reconciler(counting)).reconcile(world.request)
            assert counting.writes == 0
            assert _last(await world.state()) == _last(wanted)

    async def test_an_object_that_goes_meanwhile_is_no_defect(self, new_world: NewWorld) -> None:
        """Deleted before any of the calls: an error for the retry at most, and then nothing is left to do."""
        for at in range(await _calls(new_world)):
            async with new_world() as world:
                actor = HookedClient(world.client, world.records, before=_removing(world, at), after=None)
                await _attempt(await world.reconciler(actor), world.request)
                await _settle(world)
                counting = CountingClient(world.client, world.records)
                await (await world.reconciler(counting)).reconcile(world.request)
                assert counting.writes == 0


def _removing(world: World, at: int) -> Callable[[int, str], Awaitable[None]]:
    async def remove(number: int, _: str) -> None:
        if number == at:
            await world.remove()

    return remove


def _last(state: Any) -> Any:
    """What must not depend on the way there; a world whose history stays visible says so by a pair."""
    return state[-1] if isinstance(state, tuple) else state


async def _undisturbed(new_world: NewWorld) -> Any:
    async with new_world() as world:
        await _settle(world)
        return await world.state()


async def _calls(new_world: NewWorld) -> int:
    """How many calls an undisturbed run makes."""
    async with new_world() as world:
        counting = CountingClient(world.client, world.records)
        await (await world.reconciler(counting)).reconcile(world.request)
        assert 0 < counting.calls <= MAX_CALLS
        return counting.calls


async def _attempt(reconciler: Reconciler, request: Request) -> None:
    """A run that may fail as a retried one may; a defect shows."""
    try:
        await reconciler.reconcile(request)
    except (StatusError, asyncio.CancelledError):
        return


async def _settle(world: World) -> None:
    """A run after a restart, undisturbed."""
    actor = CountingClient(world.client, world.records)
    await (await world.reconciler(actor)).reconcile(world.request)
