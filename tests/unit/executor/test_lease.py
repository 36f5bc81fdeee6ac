"""A node's lease, with time turned by hand."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aspora.executor.lease import LeaseLost, NodeLease
from aspora.meta.errors import Unavailable
from aspora.meta.names import NodeId
from aspora.records.rows import Owner

OWNER = Owner(NodeId("n"), 1)


class ScriptedNodes:
    """Answers renewals from a list; after it, stops the lease."""

    def __init__(self, clock: Any, stop: asyncio.Event, *answers: Callable[[], bool]) -> None:
        self.clock = clock
        self.stop = stop
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    async def renew(self, owner: Owner, *, ttl_seconds: float, classes: Any) -> bool:
        self.asked.append(tuple(classes))
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        return answer()


def lease(nodes: Any, clock: Any, classes: list[str]) -> NodeLease:
    return NodeLease(nodes, OWNER, ttl_seconds=0.06, clock=clock, classes=lambda: classes)  # pyright: ignore


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
