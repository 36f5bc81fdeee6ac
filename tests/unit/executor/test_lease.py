"""A node's lease, with time turned by hand."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from aspora.executor.lease import LeaseLost, NodeLease
from aspora.meta.errors import Unavailable
from aspora.meta.names import NodeId
from aspora.records.rows import Owner

DATABASE_TIME = datetime(2026, 2, 18, tzinfo=UTC)
OWNER = Owner(NodeId("n"), 1)


class ScriptedNodes:
    """Answers renewals from a list; after it, stops the lease."""

    def __init__(self, clock: Any, stop: asyncio.Event, *answers: Callable[[], bool]) -> None:
        self.clock = clock
        self.stop = stop
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    async def renew(self, owner: Owner, *, ttl_seconds: float, classes: Any) -> datetime | None:
        self.asked.append(tuple(classes))
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        return DATABASE_TIME if answer() else None


class Switch:
    """Remembers for when its death was set, by the clock of the test."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.dies_at: list[float] = []

    def arm(self, seconds: float) -> None:
        self.dies_at.append(round(self.clock.monotonic() + seconds, 6))

    def disarm(self) -> None:
        raise AssertionError("a lease never lets go of the switch")


def lease(
    nodes: Any,
    clock: Any,
    classes: Any,
    *,
    switch: Any = None,
    on_renewed: Callable[[datetime, float], None] = lambda _, __: None,
) -> NodeLease:
    return NodeLease(
        nodes,
        OWNER,
        ttl_seconds=0.06,
        clock=clock,
        since=clock.monotonic(),
        classes=lambda: classes,
        dead_man=switch or Switch(clock),
        on_renewed=on_renewed,
    )


def fail() -> bool:
    raise Unavailable("gone")


async def test_it_renews_and_says_which_classes_are_taken(clock: Any) -> None:
    stop = asyncio.Event()
    classes = ["inline"]
    nodes = ScriptedNodes(clock, stop, lambda: not classes.append("durable"), lambda: True)
    await lease(nodes, clock, classes).run(stop)
    assert nodes.asked == [("inline",), ("inline", "durable")]


async def test_a_lease_found_ended_is_lost(clock: Any) -> None:
    with pytest.raises(LeaseLost, match="has ended"):
        await lease(ScriptedNodes(clock, asyncio.Event(), lambda: False, fail), clock, []).run(asyncio.Event())


async def test_half_a_lease_without_a_renewal_is_lost(clock: Any) -> None:
    def fail_slowly() -> bool:
        clock.pass_time(0.031)
        return fail()

    nodes = ScriptedNodes(clock, asyncio.Event(), lambda: True, fail_slowly, lambda: True, lambda: True)
    with pytest.raises(LeaseLost, match="could not renew"):
        await lease(nodes, clock, []).run(asyncio.Event())
    assert len(nodes.asked) == 2


async def test_one_failed_renewal_is_tried_again(clock: Any) -> None:
    stop = asyncio.Event()
    nodes = ScriptedNodes(clock, stop, fail, lambda: True)
    await lease(nodes, clock, []).run(stop)
    assert len(nodes.asked) == 2


async def test_each_renewal_moves_death_on_to_three_quarters_of_the_lease(clock: Any) -> None:
    stop, switch = asyncio.Event(), Switch(clock)
    told: list[tuple[datetime, float]] = []

    def slowly() -> bool:
        clock.pass_time(0.004)
        return True

    nodes = ScriptedNodes(clock, stop, slowly, slowly)
    await lease(nodes, clock, [], switch=switch, on_renewed=lambda at, asked: told.append((at, asked))).run(stop)
    # From when each was asked for, not from when its answer came.
    assert switch.dies_at == [0.045, 0.045, 0.049]
    assert told == [(DATABASE_TIME, 0.0), (DATABASE_TIME, 0.004)]


async def test_a_renewal_that_fails_moves_nothing(clock: Any) -> None:
    stop, switch = asyncio.Event(), Switch(clock)
    await lease(ScriptedNodes(clock, stop, fail, fail), clock, [], switch=switch).run(stop)
    assert len(switch.dies_at) == 1
