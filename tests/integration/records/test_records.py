"""The records on a real PostgreSQL: claims, guards, sweeps, events that nobody misses, the effect journal."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from aspora.db.pool import Database
from aspora.meta.errors import NotFound
from aspora.meta.names import ExecutionId, NodeId
from aspora.records.events import Addressed, Events
from aspora.records.executions import Executions, WrongDay, execution_wire
from aspora.records.ids import day_of, execution_id
from aspora.records.maintenance import maintain
from aspora.records.nodes import NodeFacts, Nodes
from aspora.records.rows import START, Claim, Cursor, Ending, ExecutionEvent, ModelCall, NewExecution, Owner
from aspora.records.state import State, is_terminal, may_follow

STATES: tuple[State, ...] = get_args(State)
_numbers: Iterator[int] = itertools.count(1)


def now() -> datetime:
    return datetime.now(UTC)


def new_execution(
    *, durable: bool = False, seconds: float = 60, at: datetime | None = None, clock_is_off_minutes: int = 0
) -> NewExecution:
    created = at or now() + timedelta(minutes=clock_is_off_minutes)
    return NewExecution(
        id=execution_id(created, entropy=next(_numbers)),
        domain="test",
        skill="echo",
        revision="echo-1",
        environment="production",
        execution_class="durable" if durable else "inline",
        input={"b": 1, "a": [1.5, None]},
        input_ref=None,
        caller="tester",
        trigger={"type": "api"},
        created_at=created,
        deadline=created + timedelta(seconds=seconds),
        stages={"gateway": 1.0},
    )


async def insert(database: Database, **how: Any) -> ExecutionId:
    new = new_execution(**how)
    async with database.connection() as connection:
        assert await Executions(database).insert(connection, new, any_day=True)
    return new.id


async def pass_deadline(database: Database, *names: ExecutionId) -> None:
    """Set the deadlines to a moment ago, as time would."""
    async with database.connection() as connection:
        await connection.execute(
            "update executions set deadline = now() - interval '1 second' where id = any(%s)", (list(names),)
        )


async def register(database: Database, *, ttl_seconds: float = 60) -> Owner:
    facts = NodeFacts(id=NodeId(f"node-{next(_numbers)}"), role="executor", host="h", pid=1, version="0")
    return await Nodes(database).register(facts, ttl_seconds=ttl_seconds)


async def lapse(database: Database, owner: Owner) -> None:
    """Let a node's lease end a moment ago, as time would."""
    async with database.connection() as connection:
        await connection.execute(
            "update nodes set lease_expires_at = now() - interval '1 second' where id = %s", (owner.node,)
        )


async def claim_one(database: Database, **how: Any) -> Claim:
    """A new execution, running on a new node."""
    name = await insert(database, **how)
    owner = await register(database)
    if how.get("durable"):
        claim = await Executions(database).claim_durable(name, owner)
    else:
        claim = next(c for c in await Executions(database).claim_inline(owner, limit=100) if c.id == name)
    assert claim is not None
    return claim


async def state_of(database: Database, execution: str) -> tuple[str, str]:
    row = await Executions(database).get(execution)
    return row["state"], row["reason"]


def succeeded() -> Ending:
    return Ending(state="Succeeded", finished_at=now(), result={"z": 1, "a": 2}, stages={"process": 0.5})


async def types_of(database: Database, execution: str) -> list[str]:
    return [e.type for e in await Events(database).read(execution)]


async def test_many_claimants_never_get_the_same_execution(database: Database) -> None:
    names = {await insert(database) for _ in range(60)}
    owners = [await register(database) for _ in range(6)]

    async def claim_all(owner: Owner) -> list[ExecutionId]:
        found: list[ExecutionId] = []
        while claims := await Executions(database).claim_inline(owner, limit=3):
            found += [c.id for c in claims]
        return found

    taken = [name for part in await asyncio.gather(*(claim_all(o) for o in owners)) for name in part]
    assert len(taken) == len(set(taken)) == 60
    assert set(taken) == names


async def test_the_oldest_are_claimed_first_and_keep_what_they_were_given(database: Database) -> None:
    earlier = await insert(database)
    later = await insert(database)
    async with database.connection() as connection:
        await connection.execute(
            "update executions set created_at = created_at - interval '5 seconds' where id = %s", (earlier,)
        )
    first, second = await Executions(database).claim_inline(await register(database), limit=5)
    assert (first.id, second.id) == (earlier, later)
    assert first.input == {"b": 1, "a": [1.5, None]}
    assert list(first.input) == ["b", "a"]
    assert first.queued_ms >= 5000


async def test_only_the_owner_of_the_attempt_writes_the_end(database: Database) -> None:
    executions = Executions(database)
    name = await insert(database)
    gone = await register(database)
    (stale,) = await executions.claim_inline(gone, limit=1)
    await lapse(database, gone)
    assert [(s.id, s.state) for s in await executions.reap_lost()] == [(name, "Pending")]
    (fresh,) = await executions.claim_inline(await register(database), limit=1)
    assert (stale.attempt, fresh.attempt) == (1, 2)
    assert not await executions.finish(stale, succeeded(), [])
    assert not await executions.release(stale)
    assert (await state_of(database, name))[0] == "Running"
    assert await executions.finish(fresh, succeeded(), [ExecutionEvent(now(), "Log", {"message": "a\x00b"})])
    assert not await executions.finish(fresh, succeeded(), [])
    row = await executions.get(name)
    assert list(row["result"]) == ["z", "a"]
    assert row["stages"] == {"gateway": 1.0, "process": 0.5, "finish": row["stages"]["finish"]}
    assert await types_of(database, name) == ["Created", "Requeued", "Log", "Finished"]
    assert list(execution_wire(row)["status"]["stages"]) == ["gateway", "process", "finish"]


async def test_the_time_until_the_end_is_written_is_a_stage(database: Database) -> None:
    executions = Executions(database)
    name = await insert(database)
    (claim,) = await executions.claim_inline(await register(database), limit=1)
    before = now()
    ended_at = before - timedelta(seconds=5)
    assert await executions.finish(claim, replace(succeeded(), finished_at=ended_at), [])
    after = now()
    finish_ms = (await executions.get(name))["stages"]["finish"]
    assert 5000 <= finish_ms <= (after - ended_at).total_seconds() * 1000 + 0.1


async def _drive(database: Database, state: State, *, durable: bool) -> tuple[ExecutionId, Claim | None]:
    """An execution in a state, by the legal way there."""
    executions = Executions(database)
    name = await insert(database, durable=durable)
    if state == "Pending":
        return name, None
    owner = await register(database)
    if durable:
        claim = await executions.claim_durable(name, owner)
    else:
        claim = next(c for c in await executions.claim_inline(owner, limit=100) if c.id == name)
    assert claim is not None
    if is_terminal(state):
        assert await executions.finish(claim, Ending(state=state, finished_at=now()), [])
    return name, claim


class Mover:
    """Everything that can move an execution."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executions = Executions(database)

    async def claim(self, _: ExecutionId, __: Claim | None) -> None:
        await self._executions.claim_inline(await register(self._database), limit=10)

    async def take_over(self, name: ExecutionId, _: Claim | None) -> None:
        await self._executions.claim_durable(name, await register(self._database))

    async def cancel(self, name: ExecutionId, _: Claim | None) -> None:
        await self._executions.request_cancel(name, domain="test", caller="me")

    async def finish(self, _: ExecutionId, held: Claim | None) -> None:
        if held is not None:
            await self._executions.finish(held, Ending(state="Failed", finished_at=now()), [])

    async def release(self, _: ExecutionId, held: Claim | None) -> None:
        if held is not None:
            await self._executions.release(held)

    async def sweep(self, _: ExecutionId, __: Claim | None) -> None:
        await self._executions.reap_lost()
        await self._executions.expire_pending()
        await self._executions.expire_running()


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("act", ["claim", "take_over", "cancel", "finish", "release", "sweep"])
async def test_the_guards_in_sql_know_no_way_that_the_state_machine_forbids(
    database: Database, act: str, durable: bool
) -> None:
    """Each thing that moves an execution is tried on one in each state."""
    for old in STATES:
        name, held = await _drive(database, old, durable=durable)
        await getattr(Mover(database), act)(name, held)
        new = (await state_of(database, name))[0]
        assert new == old or may_follow(old, new), (old, new)


async def test_what_nobody_took_in_time_fails_and_says_where_to_look(database: Database) -> None:
    executions = Executions(database)
    late, fine = await insert(database, seconds=-1), await insert(database)
    assert await executions.claim_inline(await register(database), limit=1) != []
    assert (await state_of(database, late)) == ("Pending", "")
    await executions.expire_pending()
    assert await state_of(database, late) == ("Failed", "DeadlineExceeded")
    assert "aspora get nodes" in (await executions.get(late))["message"]
    assert (await state_of(database, fine))[0] == "Running"
    assert await types_of(database, late) == ["Created", "Finished"]


async def test_what_a_lost_node_ran_is_failed_cancelled_or_queued_again(database: Database) -> None:
    executions, nodes = Executions(database), Nodes(database)
    owner = await register(database)
    queued, late, cancelled, durable = [
        await insert(database),
        await insert(database),
        await insert(database),
        await insert(database, durable=True),
    ]
    assert len(await executions.claim_inline(owner, limit=5)) == 3
    assert await executions.claim_durable(durable, owner)
    await executions.request_cancel(cancelled, domain="test", caller="me")
    assert await executions.reap_lost() == []
    await pass_deadline(database, late)
    await nodes.stop(owner)
    await executions.reap_lost()
    assert await state_of(database, queued) == ("Pending", "")
    assert await state_of(database, late) == ("Failed", "NodeLost")
    assert await state_of(database, cancelled) == ("Cancelled", "Cancelled")
    assert (await state_of(database, durable))[0] == "Running"
    assert owner.node in (await executions.get(late))["message"]


async def test_a_claim_that_is_repeated_after_a_lost_answer_recovers_nothing(database: Database) -> None:
    executions, owner = Executions(database), await register(database)
    name = await insert(database, durable=True)
    unheard = await executions.claim_durable(name, owner)
    repeated = await executions.claim_durable(name, owner)
    assert unheard
    assert repeated
    assert await types_of(database, name) == ["Created"]
    assert not await executions.finish(unheard, succeeded(), [])
    await lapse(database, owner)
    assert await executions.claim_durable(name, await register(database))
    assert await types_of(database, name) == ["Created", "Recovered"]


async def test_what_a_living_node_never_ended_is_ended_after_the_deadline(database: Database) -> None:
    executions, owner = Executions(database), await register(database)
    late, cancelled, fine, durable = [
        await insert(database),
        await insert(database),
        await insert(database, seconds=600),
        await insert(database, durable=True),
    ]
    assert len(await executions.claim_inline(owner, limit=5)) == 3
    assert await executions.claim_durable(durable, owner)
    await executions.request_cancel(cancelled, domain="test", caller="me")
    await pass_deadline(database, late, cancelled, durable)
    assert await executions.reap_lost() == []
    assert await executions.expire_running() == []
    moved = {(s.id, s.state) for s in await executions.expire_running(margin_seconds=0)}
    assert moved == {(late, "Failed"), (cancelled, "Cancelled")}
    assert await state_of(database, late) == ("Failed", "DeadlineExceeded")
    assert await state_of(database, cancelled) == ("Cancelled", "Cancelled")
    assert owner.node in (await executions.get(late))["message"]
    assert [(await state_of(database, name))[0] for name in (fine, durable)] == ["Running", "Running"]
    assert await types_of(database, late) == ["Created", "Finished"]


async def test_a_lease_that_ran_out_is_not_renewed(database: Database) -> None:
    nodes = Nodes(database)
    alive, dead = await register(database), await register(database, ttl_seconds=0)
    assert dead.epoch > alive.epoch
    assert await nodes.renew(alive, ttl_seconds=5, classes=["inline"])
    assert not await nodes.renew(dead, ttl_seconds=5, classes=["inline"])
    assert await nodes.live() == {alive.node}
    assert (await nodes.serves("inline"), await nodes.serves("durable")) == (True, False)
    await nodes.stop(alive)
    assert not await nodes.renew(alive, ttl_seconds=5, classes=["inline"])


async def test_model_calls_add_up_on_the_execution(database: Database) -> None:
    executions = Executions(database)
    name = await insert(database)
    (claim,) = await executions.claim_inline(await register(database), limit=1)
    for cost, tokens in ((500, 10), (None, None), (7, 3)):
        call = ModelCall(
            at=now(),
            alias="a",
            provider="p",
            upstream="u",
            outcome="ok",
            input_tokens=tokens,
            output_tokens=tokens,
            cost_micro_usd=cost,
            cost_source="upstream",
            duration_ms=1.5,
        )
        await executions.record_model_call(claim, call)
    row = await executions.get(name)
    assert (row["cost_micro_usd"], row["input_tokens"], row["output_tokens"]) == (507, 13, 13)
    assert [c["cost_micro_usd"] for c in await executions.model_calls(name)] == [500, None, 7]


async def test_a_tail_misses_no_event_whatever_the_order_of_commits(database: Database) -> None:
    """The first transaction commits last; a tail that had gone past it would never see its event."""
    events, claim = Events(database), await claim_one(database)
    name = claim.id

    async def append(type_: str) -> None:
        assert await events.append(claim.owner, [Addressed(claim, ExecutionEvent(now(), type_))]) == 1

    seen: list[str] = []
    cursor: Cursor = START

    async def look() -> None:
        nonlocal cursor
        for event in await events.tail(name, after=cursor):
            seen.append(event.type)
            cursor = event.cursor

    async def look_until(expected: list[str]) -> None:
        """A transaction of any database of the server, such as another test's, holds a tail back."""
        async with asyncio.timeout(60):
            while len(seen) < len(expected):
                await look()
        assert seen == expected

    await look_until(["Created"])
    async with database.transaction() as slow:
        await slow.execute(
            "insert into execution_events (execution_id, day, attempt, at, type) values (%s, %s, 1, now(), 'Slow')",
            (name, day_of(name)),
        )
        await append("Fast")
        await look()
        assert "Fast" in [e.type for e in await events.read(name)]
        assert seen == ["Created"]
    await look_until(["Created", "Slow", "Fast"])


async def test_concurrent_writers_and_a_tail_agree_in_the_end(database: Database) -> None:
    events, claim = Events(database), await claim_one(database)
    name = claim.id

    async def write(writer: int) -> None:
        for n in range(20):
            await events.append(claim.owner, [Addressed(claim, ExecutionEvent(now(), f"{writer}.{n}"))])

    writing = asyncio.gather(*(write(w) for w in range(4)))
    seen: list[str] = []
    cursor = START
    while len(seen) < 81:
        for event in await events.tail(name, after=cursor, limit=7):
            seen.append(event.type)
            cursor = event.cursor
        await asyncio.sleep(0)
    await writing
    assert sorted(seen) == sorted(["Created", *(f"{w}.{n}" for w in range(4) for n in range(20))])


async def test_what_a_clock_puts_on_a_far_day_is_refused_and_what_waits_over_midnight_is_claimed(
    database: Database,
) -> None:
    executions = Executions(database)
    owner = await register(database)
    for days in (-1, 0, 1):
        new = new_execution(at=now() + timedelta(days=days))
        async with database.connection() as connection:
            assert await executions.insert(connection, new)
        [claim] = await executions.claim_inline(owner, limit=10)
        assert claim.id == new.id
    for days in (-400, -2, 2, 400):
        far = new_execution(at=now() + timedelta(days=days))
        async with database.connection() as connection:
            with pytest.raises(WrongDay) as refused:
                await executions.insert(connection, far)
            rows = await (
                await connection.execute("select from execution_events where execution_id = %s", [far.id])
            ).fetchall()
        assert not rows
        assert abs(refused.value.at - now()) < timedelta(minutes=5)
        with pytest.raises(NotFound):
            await executions.get(far.id)
    # As one of yesterday's ids is after the next midnight.
    waiting = await insert(database, at=now() - timedelta(days=2))
    [claim] = await executions.claim_inline(owner, limit=10)
    assert claim.id == waiting


async def test_rows_find_their_day_by_the_id_alone(database: Database) -> None:
    executions = Executions(database)
    await maintain(database)
    await maintain(database)
    old = await insert(database, at=datetime(2020, 2, 29, 23, 59, tzinfo=UTC))
    today = await insert(database)
    async with database.connection() as connection:
        cursor = await connection.execute("select id, tableoid::regclass::text as part from executions")
        parts = {row["id"]: row["part"] for row in await cursor.fetchall()}
    assert parts == {old: "executions_default", today: f"executions_p{now():%Y%m%d}"}
    assert (await executions.get(old))["id"] == old
    with pytest.raises(NotFound):
        await executions.get("EXEC-20260218120000-7f3a09c1")
    with pytest.raises(NotFound):
        await executions.get("order-1")
