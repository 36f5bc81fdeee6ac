"""A call's money from reservation to settlement, on a real PostgreSQL."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.integration.ledger.conftest import NOW, PLATFORM, SKILL, TERMS, Site, fired, key, pay, send, wanted

from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.doubts import LedgerDoubts
from aspora.ledger.escrow import Escrow
from aspora.ledger.interface import CostSource, Limit, Reservation, Settlement, Unit, Window
from aspora.meta.errors import BudgetExceeded, TooManyRequests, Unavailable

PAID = Settlement(upstream_micro_usd=700)


async def spend_all(ledger: Escrow, reservation: Reservation, cost: int, **told: Any) -> None:
    """Calls until one is refused."""
    for _ in range(2000):
        await pay(ledger, reservation, cost, **told)


async def test_one_call_end_to_end(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(1000))
    [intent] = await site.rows("select * from ledger_intents")
    assert (intent["id"], intent["hold"], intent["in_doubt"]) == (hold.id, 1000, False)
    told = replace(PAID, priced_micro_usd=690, input_tokens=10, output_tokens=5, model="claude-haiku-4-5-20251001")
    settled = await ledger.settle(hold, told)
    assert (settled.cost_micro_usd, settled.is_new, settled.findings) == (700, True, ())
    assert await site.rows("select * from ledger_intents") == []
    [call] = await site.rows("select * from ledger_calls")
    kept = {"cost": 700, "hold": 1000, "upstream_micro_usd": 700, "priced_micro_usd": 690, "input_tokens": 10,
            "output_tokens": 5, "model": "claude-haiku-4-5-20251001", "provider": "openrouter", "outcome": "ok",
            "domain": "wealth", "skill": "create-goal", "user_name": "u1", "day": NOW.date()}  # fmt: skip
    assert {name: call[name] for name in kept} == kept
    await ledger.close()
    for scope in (SKILL, PLATFORM):
        account = await site.account(scope)
        assert (account["spent"], account["leased"], account["in_doubt"]) == (700, 0, 0)


async def test_the_second_call_asks_nothing_of_the_database(site: Site) -> None:
    ledger = await site.open()
    await ledger.reserve(wanted(1000))
    async with site.database.transaction() as connection:
        await connection.execute("lock table ledger_accounts, ledger_leases, ledger_holders")
        await asyncio.wait_for(ledger.reserve(wanted(1000)), 5)


async def test_all_accounts_or_none(site: Site) -> None:
    ledger = await site.open()
    both = (Limit(SKILL, Window.DAY, 10_000), Limit(PLATFORM, Window.MONTH, 500))
    with pytest.raises(BudgetExceeded, match="platform has spent"):
        await ledger.reserve(wanted(1000, under=both))
    assert [r["leased"] for r in await site.rows("select leased from ledger_accounts")] == [0, 0]
    assert await site.rows("select * from ledger_leases") == []


async def test_nothing_goes_out_without_an_intent(site: Site) -> None:
    ledger = await site.open()
    hold = await ledger.reserve(wanted(1000))
    assert not ledger.may_send(hold)
    with pytest.raises(ValueError, match="has no intent"):
        ledger.settle(hold, PAID)
    with pytest.raises(ValueError, match="has no intent"):
        ledger.doubt(hold)
    await ledger.intend(hold)
    assert ledger.may_send(hold)
    settling = ledger.settle(hold, PAID)
    assert not ledger.may_send(hold)
    await settling


async def test_why_a_call_went_where_it_went_is_kept(site: Site) -> None:
    ledger = await site.open()
    route = {"rule": "cheap\x00 first", "tried": [{"provider": "a", "reason": "\ud800down"}], "share": 0.5}
    plain = {"rule": "cheap first", "tried": [{"provider": "a", "reason": "?down"}], "share": 0.5}
    hold = await send(ledger, replace(wanted(1000), route=route))
    await ledger.doubt(hold)
    [doubtful] = await LedgerDoubts(site.database).page()
    assert doubtful.route == plain
    await ledger.settle(hold, PAID)
    [call] = await site.rows("select route from ledger_calls")
    assert call["route"] == plain


async def test_a_cap_is_spent_to_the_last_call_and_not_beyond(site: Site) -> None:
    ledger = await site.open()
    for _ in range(10):
        await pay(ledger, wanted(500, cap=5000), 500)
    with pytest.raises(BudgetExceeded) as refused:
        await ledger.reserve(wanted(1, cap=5000))
    text = refused.value.message
    assert "skill 'wealth/create-goal'" in text
    assert "$0.005 of the cap of $0.005" in text
    assert "at 2026-04-01T00:00:00.000Z" in text
    assert refused.value.retry_after_seconds == pytest.approx(11.5 * 3600 - 15)
    assert (await site.account())["paused"] == "Cap"


async def test_a_call_belongs_to_the_window_it_was_reserved_in(site: Site) -> None:
    ledger = await site.open()
    under = tuple(Limit(SKILL, window, 10_000) for window in (Window.HOUR, Window.DAY, Window.MONTH))
    hold = await send(ledger, wanted(10_000, under=under))
    await site.rows("update ledger_holders set expires_at = now() + interval '1 day' returning epoch")
    site.clock.at += timedelta(days=1)
    await ledger.settle(hold, Settlement(upstream_micro_usd=10_000))
    rows = await site.rows("select window_kind, spent from ledger_accounts order by window_kind")
    assert [(r["window_kind"], r["spent"]) for r in rows] == [("day", 10_000), ("hour", 10_000), ("month", 10_000)]
    [call] = await site.rows("select day from ledger_calls")
    assert call["day"] == NOW.date()
    await ledger.reserve(wanted(10_000, under=under))


async def test_a_released_hold_is_free_again_and_costs_nothing(site: Site) -> None:
    ledger = await site.open()
    for sent in (True, False, True):
        hold = await (send if sent else type(ledger).reserve)(ledger, wanted(5000, cap=5000))
        await ledger.release(hold)
        assert not ledger.may_send(hold)
        assert await site.rows("select * from ledger_intents") == []
    await ledger.close()
    account = await site.account()
    assert (account["spent"], account["leased"]) == (0, 0)
    assert await site.rows("select * from ledger_calls") == []


async def test_in_doubt_is_charged_in_full_until_settled(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(4000, cap=5000))
    await ledger.doubt(hold)
    assert await fired(site) == [80]
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (4000, 4000, 0)
    assert (await ledger.settle(hold, PAID)).is_new
    account = await site.account()
    assert (account["spent"], account["in_doubt"]) == (700, 0)
    [call] = await site.rows("select was_in_doubt from ledger_calls")
    assert call["was_in_doubt"]


async def test_what_is_said_of_a_call_in_one_batch_takes_effect_in_order(site: Site) -> None:
    ledger = await site.open()
    hold, other = await send(ledger, wanted(4000)), await send(ledger, wanted(4000))
    ledger.doubt(hold)
    ledger.release(other)
    first, again = ledger.settle(hold, PAID), ledger.settle(hold, PAID)
    ledger.doubt(other)
    assert ((await first).is_new, (await again).is_new) == (True, False)
    [call] = await site.rows("select id, cost, was_in_doubt from ledger_calls")
    assert call == {"id": hold.id, "cost": 700, "was_in_doubt": True}
    assert await site.rows("select * from ledger_intents") == []
    await ledger.close()
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (700, 0, 0)


async def test_nothing_is_charged_twice(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(1000))
    settled = await asyncio.gather(*(ledger.settle(hold, PAID) for _ in range(3)), ledger.settle(hold, PAID))
    again = await ledger.settle(hold, PAID)
    assert not again.is_new
    await ledger.release(hold)
    await ledger.doubt(hold)
    assert [told.is_new for told in settled] == [True, False, False, False]
    assert (await site.account())["spent"] == 700
    assert len(await site.rows("select * from ledger_calls")) == 1


@pytest.mark.parametrize(
    ("told", "cost", "source", "findings"),
    [
        (10**12, 10**12, CostSource.UPSTREAM, ("Overrun",)),
        (-1, 1000, CostSource.HOLD, ("CostInvalid",)),
        (math.nan, 1000, CostSource.HOLD, ("CostInvalid",)),
        (math.inf, 1000, CostSource.HOLD, ("CostInvalid",)),
        (None, 1000, CostSource.HOLD, ("CostMissing",)),
        (Decimal("699.5"), 700, CostSource.UPSTREAM, ()),
        (10**40, 10**15, CostSource.UPSTREAM, ("CostClamped", "Overrun")),
    ],
)
async def test_whatever_the_upstream_says_is_booked(
    site: Site, told: Any, cost: int, source: CostSource, findings: tuple[str, ...]
) -> None:
    ledger = await site.open()
    settled = await ledger.settle(await send(ledger, wanted(1000)), Settlement(upstream_micro_usd=told))
    assert (settled.cost_micro_usd, settled.source, settled.findings) == (cost, source, findings)
    [call] = await site.rows("select cost, findings from ledger_calls")
    assert (call["cost"], tuple(call["findings"])) == (cost, findings)
    account = await site.account()
    assert (account["spent"], account["overrun"]) == (cost, max(cost - 1000, 0))


async def test_an_overrun_pauses_the_scope_that_made_it_and_no_wider_one(site: Site) -> None:
    ledger, other = await site.open(), await site.open()
    await other.reserve(wanted(1000))
    settled = await pay(ledger, wanted(1000), 1001)
    assert settled.findings == ("Overrun",)
    assert (await site.account(PLATFORM))["paused"] is None
    with pytest.raises(BudgetExceeded, match="paused: a call cost more than the most it could"):
        await ledger.reserve(wanted(1000))
    # Others learn it when they renew.
    await other._leases.renew()
    with pytest.raises(BudgetExceeded, match="is paused"):
        await other.reserve(wanted(1000))
    accounts = LedgerAccounts(site.database)
    assert (await accounts.reset(key(), audit={"caller": "operator", "verb": "update"})).paused is None
    site.clock.turn(TERMS.retry_seconds)
    await ledger.reserve(wanted(1000))
    await other.reserve(wanted(1000))


async def test_each_threshold_is_told_once_a_window(site: Site) -> None:
    ledger = await site.open()
    for cost in (790, 10, 140, 10, 40, 10):
        await pay(ledger, wanted(cost, cap=1000), cost)
        site.clock.turn(1)
    assert await fired(site) == [80, 95, 100]
    kept = await site.rows("select percent, spent, cap from ledger_thresholds order by percent")
    assert [(r["percent"], r["spent"], r["cap"]) for r in kept] == [(80, 800, 1000), (95, 950, 1000), (100, 1000, 1000)]


async def test_a_rate_limit_is_leased_likewise(site: Site) -> None:
    first, second = await site.open(), await site.open()
    under = (Limit(SKILL, Window.MINUTE, 100, Unit.REQUESTS), Limit(SKILL, Window.MINUTE, 10_000, Unit.TOKENS))
    for ledger in (first, second):
        for _ in range(30):
            await pay(ledger, wanted(0, under=under, tokens=200), 0, input_tokens=50, output_tokens=50)
    assert await fired(site) == []
    await first._leases.tick()
    await first._leases.tick()
    with pytest.raises(TooManyRequests, match="resets at 2026-03-31T12:31:00") as refused:
        await spend_all(second, wanted(0, under=under, tokens=100), 0, input_tokens=50, output_tokens=50)
    assert refused.value.retry_after_seconds == pytest.approx(45)
    used = {r["unit"]: r["spent"] for r in await site.rows("select unit, spent from ledger_accounts")}
    assert used == {"requests": 100, "tokens": 10_000}


async def test_an_idle_ledger_gives_back_what_the_other_needs(site: Site) -> None:
    idle, busy = await site.open(), await site.open()
    await pay(idle, wanted(1000, cap=1_000_000), 1000)
    assert (await site.account())["leased"] > 50_000
    for _ in range(2):
        await idle._leases.tick()
    with pytest.raises(TooManyRequests, match="95 %"):
        await spend_all(busy, wanted(1000, cap=1_000_000), 1000)
    assert (await site.account())["spent"] >= 950_000


async def test_a_call_waits_for_what_others_hold(site: Site) -> None:
    patient = replace(TERMS, patience_seconds=60.0)
    first, second = await site.open(patient), await site.open(patient)
    hold = await send(first, wanted(5000, cap=5000))
    waiting = asyncio.create_task(second.reserve(wanted(3000, cap=5000)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await first.settle(hold, PAID)
    site.clock.turn(1)
    assert (await asyncio.wait_for(waiting, 5)).parts


async def test_a_call_that_is_refused_for_others_sake_says_so(site: Site) -> None:
    first, second = await site.open(), await site.open()
    await send(first, wanted(5000, cap=5000))
    with pytest.raises(BudgetExceeded, match=r"calls under way may spend \$0.005") as refused:
        await second.reserve(wanted(3000, cap=5000))
    assert refused.value.retry_after_seconds == 1.0


def expire(site: Site) -> None:
    site.clock.turn(TERMS.ttl_seconds - TERMS.margin_seconds)


@pytest.mark.parametrize("turn", [expire, lambda site: site.clock.turn(100_000)])
async def test_a_process_that_was_stopped_too_long_sends_nothing(site: Site, turn: Callable[[Site], None]) -> None:
    """What SIGSTOP does to it: its clock goes on."""
    ledger = await site.open()
    hold = await send(ledger, wanted(1000))
    reserved = await ledger.reserve(wanted(1000))
    turn(site)
    assert not ledger.may_send(hold)
    with pytest.raises(Unavailable, match="has ended"):
        await ledger.intend(reserved)


async def test_a_lease_that_others_ended_is_good_for_nothing(site: Site) -> None:
    ledger, other = await site.open(), await site.open()
    hold = await ledger.reserve(wanted(1000))
    await site.rows(f"update ledger_holders set expires_at = now() where epoch = {hold.epoch} returning epoch")
    await other._books.sweep()
    with pytest.raises(Unavailable, match="has ended"):
        await ledger.intend(hold)
    assert await site.rows("select * from ledger_intents") == []
    await ledger.release(hold)
    # And the next one has a lease again.
    assert (await send(ledger, wanted(1000))).epoch > other._leases.epoch


async def test_a_caller_who_leaves_while_its_intent_is_written_owes_nothing(site: Site) -> None:
    ledger = await site.open()
    hold = await ledger.reserve(wanted(5000, cap=5000))
    async with site.database.transaction() as connection:
        await connection.execute("lock table ledger_intents")
        intending = asyncio.create_task(ledger.intend(hold))
        await asyncio.sleep(0.1)
        intending.cancel()
        released = ledger.release(hold)
        await asyncio.sleep(0.1)
        assert not released.done()
    await released
    assert await site.rows("select * from ledger_intents") == []
    await ledger.release(await send(ledger, wanted(5000, cap=5000)))
    await ledger.close()
    account = await site.account()
    assert (account["spent"], account["leased"]) == (0, 0)
