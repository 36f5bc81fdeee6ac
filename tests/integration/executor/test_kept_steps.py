"""Steps of durable executions: done once, given up when the execution is somebody else's or the node is lost."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.records.test_fencing import take_over
from tests.integration.records.test_records import claim_one

from aspora.db.pool import Database
from aspora.executor.event_writer import EventWriter, FlushedSteps
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded
from aspora.executor.journal import KeptSteps
from aspora.executor.trace import Trace
from aspora.kit.clock import SystemClock
from aspora.records.events import Addressed, Events
from aspora.records.rows import Owner
from aspora.records.steps import Steps
from aspora.records.wakeups import Wakeups


def kept(database: Database, claim: Any, *, lost: bool = False) -> KeptSteps:
    return KeptSteps(Steps(database), claim, is_lost=lambda: lost)


class Counted:
    """A step that counts how often it was done."""

    def __init__(self, outcome: "dict[str, Any] | Exception") -> None:
        self.count = 0
        self._outcome = outcome

    async def __call__(self) -> dict[str, Any]:
        self.count += 1
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def test_a_rerun_does_no_step_again(database: Database) -> None:
    claim, step = await claim_one(database, durable=True), Counted({"text": "hello"})
    assert await kept(database, claim).step("model:1", step) == {"text": "hello"}
    again = await take_over(database, claim)
    assert await kept(database, again).step("model:1", step) == {"text": "hello"}
    assert step.count == 1
    await kept(database, again).step("model:2", step)
    assert step.count == 2


async def test_a_failure_is_kept_and_told_again(database: Database) -> None:
    claim, step = await claim_one(database, durable=True), Counted(ExecutionFailed("HandlerRaised", "no such day"))
    for take in (False, True):
        attempt = await take_over(database, claim) if take else claim
        with pytest.raises(ExecutionFailed, match="no such day") as failed:
            await kept(database, attempt).step("handler", step)
        assert failed.value.reason == "HandlerRaised"
    assert step.count == 1


async def test_what_is_no_failure_of_the_step_is_not_kept(database: Database) -> None:
    claim, steps = await claim_one(database, durable=True), Steps(database)
    for problem in (RuntimeError("a defect"), Superseded("somebody else's")):
        with pytest.raises(type(problem)):
            await kept(database, claim).step("handler", Counted(problem))
    assert await steps.get(claim, "handler") is None


@pytest.mark.parametrize("outcome", [{"text": "done"}, ExecutionFailed("Cancelled", "its sandbox was closed")])
async def test_the_end_of_a_lost_node_is_not_kept_though_its_lease_lasts(database: Database, outcome: Any) -> None:
    """It ends its sandboxes at half its lease: what they say then is its own doing."""
    claim, steps = await claim_one(database, durable=True), Steps(database)
    with pytest.raises(Superseded, match="given up"):
        await kept(database, claim, lost=True).step("handler", Counted(outcome))
    assert await steps.get(claim, "handler") is None


async def test_the_end_of_a_fenced_attempt_is_not_kept(database: Database) -> None:
    claim = await claim_one(database, durable=True)
    again = await take_over(database, claim)
    with pytest.raises(Superseded):
        await kept(database, claim).step("handler", Counted({"text": "late"}))
    assert await kept(database, again).step("handler", Counted({"text": "in time"})) == {"text": "in time"}


class Defective(Events):
    """A defect of Aspora's own on the way to the events."""

    async def append(self, owner: Owner, events: Sequence[Addressed]) -> int:
        raise RuntimeError("a defect")


@pytest.mark.parametrize("defect", [False, True])
@pytest.mark.parametrize("outcome", [{"text": "paid"}, ExecutionFailed("HandlerRaised", "no such day")])
async def test_a_step_is_kept_though_its_events_could_not_be_written(
    database: Database, dsn: str, outcome: Any, defect: bool
) -> None:
    """Else it would be done again, and paid for again, for the sake of a line in a log."""
    claim, step = await claim_one(database, durable=True), Counted(outcome)
    away = await Database.open(dsn, max_size=1)
    await away.close()
    events = Defective(away) if defect else Events(away)
    writer = EventWriter(events, Wakeups(database), claim.owner)
    trace = Trace(claim, SystemClock(), on_event=writer)
    trace.emit("ModelCall")
    for _ in range(2):
        told = await asyncio.gather(
            FlushedSteps(kept(database, claim), writer).step("model:1", step), return_exceptions=True
        )
        assert str(told[0]) == str(outcome)
    assert step.count == 1
    if not defect:  # They wait for whoever writes the attempt's end.
        assert [event.type for event in await writer.take_rest(trace)] == ["ModelCall"]
