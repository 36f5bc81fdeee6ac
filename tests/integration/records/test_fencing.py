"""The fence on a real PostgreSQL: whose lease has ended, or whose execution is another's, writes nothing any more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.records.test_records import (
    claim_one,
    insert,
    lapse,
    now,
    pass_deadline,
    register,
    state_of,
    succeeded,
    types_of,
)

from aspora.db.pool import Database
from aspora.records.effects import EffectEnd, EffectKey, Effects, Go, InDoubt, Recorded, arguments_digest
from aspora.records.events import TAKEOVERS, Addressed, Events
from aspora.records.executions import Executions
from aspora.records.fence import Fenced
from aspora.records.nodes import Nodes
from aspora.records.rows import Claim, ExecutionEvent, ModelCall
from aspora.records.steps import Steps

WRITE = EffectKey("bank", "pay", arguments_digest({"to": "x"}), 0)
READ = EffectKey("bank", "balance", arguments_digest({}), 0)
KEYED = EffectKey("bank", "refund", arguments_digest({}), 0)


async def lose_lease(database: Database, claim: Claim) -> None:
    await lapse(database, claim.owner)


async def stop_node(database: Database, claim: Claim) -> None:
    await Nodes(database).stop(claim.owner)


async def be_taken_over(database: Database, claim: Claim) -> None:
    assert await Executions(database).claim_durable(claim.id, await register(database))


FENCED_BY = pytest.mark.parametrize("fence", [lose_lease, stop_node, be_taken_over])
Fence = Callable[[Database, Claim], Awaitable[None]]


async def take_over(database: Database, claim: Claim) -> Claim:
    """The next attempt, on another node, after the first was lost."""
    await lapse(database, claim.owner)
    taken = await Executions(database).claim_durable(claim.id, await register(database))
    assert taken is not None
    return taken


def call() -> ModelCall:
    return ModelCall(
        at=now(),
        alias="a",
        provider="p",
        upstream="u",
        outcome="ok",
        input_tokens=1,
        output_tokens=1,
        cost_micro_usd=5,
        cost_source="upstream",
        duration_ms=1.5,
    )


@FENCED_BY
async def test_a_fenced_node_writes_nothing_but_what_it_has_spent(database: Database, fence: Fence) -> None:
    executions, effects, events = Executions(database), Effects(database), Events(database)
    steps = Steps(database)
    claim = await claim_one(database, durable=True)
    assert await effects.begin(claim, WRITE, is_write=True, idempotent=False) == Go()
    assert await events.append(claim.owner, [Addressed(claim, ExecutionEvent(now(), "Log"))]) == 1
    await executions.record_model_call(claim, call())
    before = [row["state"] for row in await effects.of(claim.id)]
    await fence(database, claim)

    assert not await executions.finish(claim, succeeded(), [])
    assert not await executions.release(claim)
    assert await events.append(claim.owner, [Addressed(claim, ExecutionEvent(now(), "Late"))]) == 0
    for refused in (
        effects.begin(claim, READ, is_write=False, idempotent=True),
        effects.begin(claim, WRITE, is_write=True, idempotent=False),
        effects.finish(claim, WRITE, EffectEnd({"ok": True})),
        effects.doubt(claim, up_to_attempt=1),
        steps.keep(claim, "handler", {"failed": {"reason": "Cancelled", "message": "its sandbox was closed"}}),
    ):
        with pytest.raises(Fenced, match=claim.owner.node):
            await refused
    await executions.record_model_call(claim, call())

    assert (await state_of(database, claim.id))[0] == "Running"
    assert [row["state"] for row in await effects.of(claim.id)] == before == ["intent"]
    assert await steps.get(claim, "handler") is None
    assert "Late" not in await types_of(database, claim.id)
    assert [c["fenced"] for c in await executions.model_calls(claim.id)] == [False, True]
    assert (await executions.get(claim.id))["cost_micro_usd"] == 10


async def test_a_node_whose_lease_has_ended_takes_nothing(database: Database) -> None:
    executions = Executions(database)
    inline, durable = await insert(database), await insert(database, durable=True)
    dead = await register(database, ttl_seconds=0)
    assert await executions.claim_inline(dead, limit=5) == []
    with pytest.raises(Fenced):
        await executions.claim_durable(durable, dead)
    assert [(await state_of(database, name))[0] for name in (inline, durable)] == ["Pending", "Pending"]
    claim = await executions.claim_durable(durable, await register(database))
    assert claim is not None
    assert await executions.finish(claim, succeeded(), [])
    assert await executions.claim_durable(durable, dead) is None


async def test_a_lapsed_lease_fences_even_where_the_epoch_still_stands(database: Database) -> None:
    """Nobody has taken the execution over yet; the row alone would let the write through."""
    claim = await claim_one(database)
    await lapse(database, claim.owner)
    row = await Executions(database).get(claim.id)
    assert (row["owner_node"], row["owner_epoch"], row["attempt"]) == (claim.owner.node, claim.owner.epoch, 1)
    assert not await Executions(database).finish(claim, succeeded(), [])


async def test_another_epoch_or_attempt_is_fenced(database: Database) -> None:
    claim = await claim_one(database)
    others = (replace(claim, attempt=2), replace(claim, owner=replace(claim.owner, epoch=claim.owner.epoch + 1)))
    for other in others:
        assert not await Executions(database).finish(other, succeeded(), [])
        with pytest.raises(Fenced):
            await Effects(database).begin(other, READ, is_write=False, idempotent=True)
    assert await Executions(database).finish(claim, succeeded(), [])


async def test_who_takes_over_waits_for_an_intent_that_is_being_written(database: Database) -> None:
    """The intent's transaction is open; the take-over comes after it, and so finds the intent."""
    claim = await claim_one(database, durable=True)
    await lapse(database, await register(database))
    effects, executions = Effects(database), Executions(database)
    async with database.transaction() as connection:
        await connection.execute("select from executions where id = %s for share", (claim.id,))
        taking = asyncio.create_task(executions.claim_durable(claim.id, await register(database)))
        while not await waits_for_lock(database):
            await asyncio.sleep(0.01)
        assert not taking.done()
        # A share of the lock is enough for the owner's own intents to go on.
        assert await effects.begin(claim, WRITE, is_write=True, idempotent=False) == Go()
    taken = await taking
    assert taken is not None
    assert [d.attempt for d in await effects.doubt(taken, up_to_attempt=1)] == [1]


async def waits_for_lock(database: Database) -> bool:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        row = await cursor.fetchone()
    return row is not None and row["n"] > 0


@pytest.mark.parametrize(
    "end",
    [
        EffectEnd({"z": 1.0, "a": [1, 1.5, None], "text": "ü\u2028"}),
        EffectEnd(None),
        EffectEnd(result_ref="sha256:0"),
        EffectEnd(failure={"reason": "NotFound", "message": "no such payee"}),
    ],
)
async def test_a_finished_effect_answers_the_same_on_a_rerun(database: Database, end: EffectEnd) -> None:
    effects, claim = Effects(database), await claim_one(database, durable=True)
    assert await effects.begin(claim, WRITE, is_write=True, idempotent=False) == Go()
    await effects.finish(claim, WRITE, end)
    await effects.finish(claim, WRITE, end)
    again = await take_over(database, claim)
    found = await effects.begin(again, WRITE, is_write=True, idempotent=False)
    assert found == Recorded(end)
    assert isinstance(found, Recorded)
    if isinstance(end.result, dict):
        assert list(found.end.result) == list(end.result)
    with pytest.raises(Fenced):
        await effects.finish(claim, WRITE, EffectEnd("other"))


async def test_a_write_left_in_doubt_is_not_repeated_and_what_is_idempotent_is(database: Database) -> None:
    effects, claim = Effects(database), await claim_one(database, durable=True)
    kinds: tuple[tuple[EffectKey, dict[str, Any]], ...] = (
        (READ, {"is_write": False, "idempotent": True}),
        (WRITE, {"is_write": True, "idempotent": False}),
        (KEYED, {"is_write": True, "idempotent": True}),
    )
    for key, how in kinds:
        assert await effects.begin(claim, key, **how) == Go()
        assert await effects.begin(claim, key, **how) == Go(), "the answer to the first may have got lost"
    again = await take_over(database, claim)
    assert [str(d.operation) for d in await effects.doubt(again, up_to_attempt=1)] == ["pay"]
    answers = [await effects.begin(again, key, **how) for key, how in kinds]
    assert answers == [Go(), InDoubt(), Go()]
    await effects.finish(again, KEYED, EffectEnd(1))
    states = {row["operation"]: (row["state"], row["attempt"]) for row in await effects.of(claim.id)}
    assert states == {"balance": ("intent", 2), "pay": ("in_doubt", 1), "refund": ("done", 2)}


async def test_one_effect_begun_by_many_at_once_goes_out_once(database: Database) -> None:
    """Attempts that overlap, each on its own node: only the present one may begin, and only once."""
    effects, claim = Effects(database), await claim_one(database, durable=True)
    again = await take_over(database, claim)
    found = await asyncio.gather(
        *(effects.begin(c, WRITE, is_write=True, idempotent=False) for c in (claim, again) * 4), return_exceptions=True
    )
    assert [type(f) for f in found] == [Fenced, Go] * 4
    (row,) = await effects.of(claim.id)
    assert (row["attempt"], row["state"]) == (2, "intent")


async def test_a_durable_execution_that_is_taken_over_says_from_whom(database: Database) -> None:
    claim = await claim_one(database, durable=True)
    lost = await take_over(database, claim)
    await Nodes(database).stop(lost.owner)
    third = await Executions(database).claim_durable(claim.id, await register(database))
    assert third is not None
    told = await Events(database).of_types(claim.id, TAKEOVERS)
    assert [(e.type, e.attempt, e.data["reason"], e.data["node"], e.data["by"]) for e in told] == [
        ("Recovered", 1, "NodeLost", claim.owner.node, lost.owner.node),
        ("Recovered", 2, "NodeStopped", lost.owner.node, third.owner.node),
    ]
    assert "during attempt 1" in told[0].data["message"]


async def test_a_gateway_whose_clock_is_wrong_changes_no_instant_of_the_row(database: Database) -> None:
    for minutes in (-60, 60):
        claim = await claim_one(database, clock_is_off_minutes=minutes)
        row = await Executions(database).get(claim.id)
        assert abs((row["created_at"] - now()).total_seconds()) < 5
        assert 50 < (row["deadline"] - now()).total_seconds() <= 61


async def test_effects_lie_in_the_partition_of_their_execution(database: Database) -> None:
    claim = await claim_one(database, durable=True)
    await Effects(database).begin(claim, WRITE, is_write=True, idempotent=False)
    async with database.connection() as connection:
        cursor = await connection.execute("select day, tableoid::regclass::text as part from effects")
        row = await cursor.fetchone()
    assert row is not None
    assert (row["day"], row["part"]) == (claim.day, f"effects_p{claim.day:%Y%m%d}")


@pytest.mark.parametrize(
    ("key", "idempotent", "expected"),
    [
        (WRITE, False, ("Failed", "EffectInDoubt")),
        (KEYED, True, ("Failed", "NodeLost")),
    ],
)
async def test_what_a_lost_node_left_too_late_ends_in_doubt_when_it_had_begun_a_write(
    database: Database, key: EffectKey, idempotent: bool, expected: tuple[str, str]
) -> None:
    executions, effects = Executions(database), Effects(database)
    claim = await claim_one(database, durable=True)
    assert await effects.begin(claim, key, is_write=True, idempotent=idempotent) == Go()
    await lapse(database, claim.owner)
    await pass_deadline(database, claim.id)
    assert [s.id for s in await executions.reap_lost()] == [claim.id]
    assert await state_of(database, claim.id) == expected
    assert [row["state"] for row in await effects.of(claim.id)] == ["in_doubt"]


async def test_a_step_is_kept_once_and_answers_the_next_attempt(database: Database) -> None:
    steps, claim = Steps(database), await claim_one(database, durable=True)
    assert await steps.get(claim, "model:1") is None
    first = {"value": {"z": 1.0, "a": [None, "ü\u2028", "\ud800"]}}
    await steps.keep(claim, "model:1", first)
    await steps.keep(claim, "model:1", first)
    again = await take_over(database, claim)
    found = await steps.get(again, "model:1")
    assert found is not None
    assert list(found["value"]) == ["z", "a"]
    await steps.keep(again, "model:1", {"value": {}})
    assert await steps.get(again, "model:1") == found, "what is kept stays"
    assert await steps.get(again, "model:2") is None
    with pytest.raises(Fenced):
        await steps.keep(claim, "model:2", first)
