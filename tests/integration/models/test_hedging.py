"""Two endpoints side by side over real HTTP: whose output begins first wins, and both are paid for by the rules."""

import asyncio

import pytest
from tests.integration.models.test_breaker import ASK, Pair, fault, pair

from aspora.models.failures import ModelRejected
from aspora.models.interface import CostSource

SOON = {"hedgeAfterMs": 30}
NEVER_TIME = {"hedgeAfterMs": 3_600_000}
HANGS = fault("hang_after_headers")
streaming = pytest.mark.parametrize("stream", [False, True])


async def gone(p: Pair) -> str:
    """What became of the first upstream's request."""
    recorded = await p.one.wait_for(1)
    await asyncio.wait_for(recorded.done.wait(), 30)
    return recorded.outcome


@streaming
@pytest.mark.parametrize("kind", ["hang_before_headers", "hang_after_headers"])
async def test_the_next_one_is_asked_beside_a_slow_one_which_is_cancelled_and_charged_in_doubt(
    kind: str, stream: bool
) -> None:
    async with pair([fault(kind)], **SOON) as p:
        reply = await p.ask(stream=stream)
        assert await gone(p) == "client left"
    assert (reply.alias, reply.text) == ("two", "from two")
    lost, won = sorted(p.attempts, key=lambda a: a.alias)
    assert (lost.outcome, lost.cost.source, won.outcome) == ("cancelled", CostSource.IN_DOUBT, "ok")
    assert lost.cost.micro_usd
    assert won.cost.micro_usd
    assert p.payer.spent_micro_usd == lost.cost.micro_usd + won.cost.micro_usd
    assert "".join(p.texts) == ("from two" if stream else "")


@streaming
async def test_one_that_begins_in_time_is_alone(stream: bool) -> None:
    async with pair((), **NEVER_TIME) as p:
        reply = await p.ask(stream=stream)
        assert (reply.alias, len(p.two.completions)) == ("one", 0)
        assert p.payer.spent_micro_usd == reply.cost.micro_usd


async def test_after_the_first_token_nobody_else_is_asked() -> None:
    slow = {"answer": "x" * 40, **fault("slow", delay_seconds=0.3)}
    async with pair([slow], hedgeAfterMs=1200) as p:
        reply = await p.ask(stream=True)
        assert (reply.alias, reply.text, len(p.two.completions)) == ("one", "x" * 40, 0)


async def test_the_slow_one_wins_when_its_output_begins_first_and_the_other_is_left_at_that_moment() -> None:
    slow = {"answer": "x" * 40, **fault("slow", delay_seconds=0.2)}
    async with pair([slow], [HANGS], **SOON) as p:
        beside: list[str] = []
        reply = await p.client.generate(
            ASK,
            charge=p.payer.charge,
            observe=p.attempts.append,
            on_text=lambda _: beside.append(p.two.completions[0].outcome),
        )
    assert reply.alias == "one"
    assert (beside[0], beside[-1]) == ("open", "client left")
    assert dict(p.outcomes) == {"one": "ok", "two": "cancelled"}


async def test_one_that_fails_before_its_time_is_followed_as_ever() -> None:
    async with pair([fault("server_error")], **NEVER_TIME) as p:
        assert (await p.ask()).alias == "two"
    assert p.outcomes == [("one", "server_error"), ("two", "ok")]


async def test_the_failure_of_the_one_beside_is_not_the_call_s() -> None:
    slow = {"answer": "late", **fault("slow", delay_seconds=0.2)}
    for failure in (fault("rejected"), fault("server_error")):
        async with pair([slow], [failure], **SOON) as p:
            assert (await p.ask()).alias == "one"


async def test_the_one_beside_goes_without_where_the_cap_leaves_too_little_for_two() -> None:
    slow = {"answer": "late", **fault("slow", delay_seconds=0.2)}
    async with pair([slow], cap_micro_usd=1500, **SOON) as p:
        assert (await p.ask()).alias == "one"
        assert len(p.two.completions) == 0


async def test_a_rejected_request_is_nobody_else_s() -> None:
    async with pair([fault("rejected")], [HANGS], **NEVER_TIME) as p:
        with pytest.raises(ModelRejected):
            await p.ask()
        assert len(p.two.completions) == 0


@streaming
async def test_a_caller_who_leaves_leaves_both(stream: bool) -> None:
    async with pair([HANGS], [HANGS], **SOON) as p:
        asking = asyncio.create_task(p.ask(stream=stream))
        await p.two.wait_for(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await gone(p) == "client left"
    assert sorted(p.outcomes) == [("one", "cancelled"), ("two", "cancelled")]
    assert p.payer.spent_micro_usd == sum(a.cost.micro_usd or 0 for a in p.attempts) > 0


async def test_money_adds_up_whoever_wins() -> None:
    """Many at once under one cap: each attempt has a hold of its own, and each is booked once."""
    slow = {"answer": "late", **fault("slow", delay_seconds=0.03)}
    async with pair([slow] * 20, [slow] * 20, **SOON) as p:
        replies = await asyncio.gather(*(p.ask(stream=n % 2 == 0) for n in range(20)))
    assert len(replies) == 20
    assert sum(a.outcome == "ok" for a in p.attempts) == 20
    assert p.payer.spent_micro_usd == sum(a.cost.micro_usd or 0 for a in p.attempts)
    assert p.payer.ledger._open == {}, "no hold is left"
