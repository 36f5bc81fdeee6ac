"""From a claim to a written end, whatever goes wrong on the way."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aspora.executor.conduct import Conductor
from aspora.executor.event_writer import EventWriter
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded
from aspora.executor.journal import CallThrough
from aspora.executor.results import Given
from aspora.executor.running import Running
from aspora.meta.errors import Unavailable
from aspora.meta.names import NodeId
from aspora.records.rows import Claim, Ending, ExecutionEvent, Owner


class Scripted:
    """Stands for attempts, executions and wake-ups; remembers what was written."""

    def __init__(self, outcome: Any, *, finish: Sequence[Any] = (True,)) -> None:
        self.outcome = outcome
        self.answers = list(finish)
        self.written: list[tuple[Ending, list[str]]] = []
        self.sent: list[str] = []
        self.still_open = False
        self.settled = ""

    async def settle(self, claim: Claim) -> None:
        self.settled = claim.id

    async def make(self, trace: Any, journal: Any) -> Given:
        trace.emit("Log")
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if isinstance(self.outcome, asyncio.Event):
            await self.outcome.wait()
        return Given(result={"message": "done"}, driver="process")

    async def finish(self, claim: Claim, ending: Ending, events: Sequence[ExecutionEvent]) -> bool:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.written.append((ending, [e.type for e in events]))
        return answer

    async def append(self, owner: Owner, events: Any) -> int:
        return len(events)

    async def is_open(self, execution: str, execution_class: str) -> bool:
        return self.still_open

    def send(self, channel: str) -> None:
        self.sent.append(channel)


def conductor(parts: Any, clock: Any, running: Running) -> Conductor:
    writer = EventWriter(parts, parts, Owner(NodeId("node"), 1))
    return Conductor(attempts=parts, executions=parts, running=running, writer=writer, wakeups=parts, clock=clock)


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (None, "Succeeded", ""),
        (ExecutionFailed("TimedOut", "too slow"), "Failed", "TimedOut"),
        (Unavailable("disk full"), "Failed", "Unavailable"),
        (ZeroDivisionError("a defect"), "Failed", "Internal"),
    ],
)
async def test_every_outcome_is_written_once(
    make_claim: Callable[..., Claim], clock: Any, outcome: Any, state: str, reason: str
) -> None:
    parts = Scripted(outcome)
    assert await conductor(parts, clock, Running()).conduct(make_claim(), CallThrough()) == state
    ((ending, events),) = parts.written
    assert (ending.state, ending.reason) == (state, reason)
    assert "defect" not in ending.message or "log has the details" in ending.message
    assert events == ["Started", "Log"]
    assert parts.sent


async def test_an_end_is_tried_again_until_the_database_is_back(make_claim: Callable[..., Claim], clock: Any) -> None:
    parts = Scripted(None, finish=[Unavailable("gone"), Unavailable("gone"), True])
    await conductor(parts, clock, Running()).conduct(make_claim(), CallThrough())
    assert [ending.state for ending, _ in parts.written] == ["Succeeded"]


async def test_an_end_that_cannot_be_stored_is_replaced_by_one_that_can(
    make_claim: Callable[..., Claim], clock: Any
) -> None:
    parts = Scripted(None, finish=[ValueError("no"), True])
    await conductor(parts, clock, Running()).conduct(make_claim(), CallThrough())
    ((ending, events),) = parts.written
    assert (ending.state, ending.reason, ending.result, events) == ("Failed", "Unstorable", None, [])


async def test_what_was_cancelled_before_does_not_run(make_claim: Callable[..., Claim], clock: Any) -> None:
    parts = Scripted(ZeroDivisionError())
    claim = make_claim(cancel_requested=True)
    assert await conductor(parts, clock, Running()).conduct(claim, CallThrough()) == "Cancelled"


async def test_a_cancellation_ends_it_and_a_stop_leaves_it(make_claim: Callable[..., Claim], clock: Any) -> None:
    for stops in (False, True):
        parts, running, claim = Scripted(asyncio.Event()), Running(), make_claim()
        task = asyncio.create_task(conductor(parts, clock, running).conduct(claim, CallThrough()))
        while not len(running):
            await asyncio.sleep(0)
        if stops:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert parts.written == []
        else:
            running.cancel(claim.id)
            assert await task == "Cancelled"
            assert [ending.state for ending, _ in parts.written] == ["Cancelled"]


async def test_a_superseded_attempt_writes_nothing(make_claim: Callable[..., Claim], clock: Any) -> None:
    parts = Scripted(Superseded("another"))
    with pytest.raises(Superseded):
        await conductor(parts, clock, Running()).conduct(make_claim(), CallThrough())
    assert parts.written == []


async def test_a_refused_end_of_a_durable_execution_that_goes_on_leaves_its_workflow(
    make_claim: Callable[..., Claim], clock: Any
) -> None:
    """Ended, the workflow would be recovered by nobody, and the execution would wait for ever."""
    parts = Scripted(None, finish=[False])
    parts.still_open = True
    with pytest.raises(Superseded):
        await conductor(parts, clock, Running()).conduct(make_claim(execution_class="durable"), CallThrough())
    parts = Scripted(None, finish=[False])
    assert await conductor(parts, clock, Running()).conduct(make_claim(execution_class="durable"), CallThrough())


async def test_nothing_is_written_once_the_lease_is_given_up(make_claim: Callable[..., Claim], clock: Any) -> None:
    """The handlers are being killed then: what they come to is not their own end."""
    parts = Scripted(ExecutionFailed("Cancelled", "killed"))
    writer = EventWriter(parts, parts, Owner(NodeId("node"), 1))  # pyright: ignore[reportArgumentType]
    lost = Conductor(
        attempts=parts,  # pyright: ignore[reportArgumentType]
        executions=parts,  # pyright: ignore[reportArgumentType]
        running=Running(),
        writer=writer,
        wakeups=parts,  # pyright: ignore[reportArgumentType]
        clock=clock,
        is_lost=lambda: True,
    )
    with pytest.raises(Superseded):
        await lost.conduct(make_claim(), CallThrough())
    assert parts.written == []
