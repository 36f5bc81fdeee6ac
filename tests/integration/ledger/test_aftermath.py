"""What is done to the books from outside: dead processes swept, doubts cleared, caps changed, old days dropped."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.integration.ledger.conftest import AUDIT, PLATFORM, SKILL, Site, fired, key, limits, pay, send, wanted

from aspora.db.retention import drop_days
from aspora.ledger import items
from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.books import Books
from aspora.ledger.costs import book
from aspora.ledger.doubts import LedgerDoubts
from aspora.ledger.interface import CallId, Limit, Scope, ScopeKind, Settlement, Unit, Window
from aspora.ledger.maintenance import PARTITIONED_TABLES, RETAINED, maintain
from aspora.ledger.restored import end_restored_leases
from aspora.meta.errors import BudgetExceeded, Invalid, NotFound

PAID = Settlement(upstream_micro_usd=700)


async def test_a_dead_process_owes_what_it_may_have_sent_and_no_more(site: Site) -> None:
    dead = await site.open()
    await pay(dead, wanted(1000), 500)
    sent = await send(dead, wanted(1000))
    await dead.reserve(wanted(2000))
    doubts = LedgerDoubts(site.database)
    assert await doubts.sweep() == [], "it may be alive"
    await site.expire_all()
    [swept] = await doubts.sweep()
    assert (swept.epoch, swept.doubted) == (sent.epoch, 1)
    for scope in (SKILL, PLATFORM):
        account = await site.account(scope)
        assert (account["spent"], account["in_doubt"], account["leased"]) == (1500, 1000, 0)
    assert await site.rows("select * from ledger_leases") == []
    assert await doubts.sweep() == [], "safe to run twice"
    assert (await site.account())["spent"] == 1500


async def test_a_sweep_tells_the_thresholds_that_it_passes(site: Site) -> None:
    dead = await site.open()
    await send(dead, wanted(5000, cap=5000))
    await site.expire_all()
    [swept] = await LedgerDoubts(site.database).sweep()
    assert swept.fired == 3
    assert await fired(site) == [80, 95, 100]


async def test_a_late_settlement_of_a_swept_call_is_the_truth(site: Site) -> None:
    slow = await site.open()
    hold = await send(slow, wanted(1000))
    await site.expire_all()
    await LedgerDoubts(site.database).sweep()
    assert (await slow.settle(hold, PAID)).is_new
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (700, 0, 0)


async def test_a_released_call_that_was_swept_is_not_charged(site: Site) -> None:
    slow = await site.open()
    hold = await send(slow, wanted(1000))
    await site.expire_all()
    await LedgerDoubts(site.database).sweep()
    await slow.release(hold)
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (0, 0, 0)


async def test_a_doubt_is_reconciled_once(site: Site) -> None:
    ledger, doubts = await site.open(), LedgerDoubts(site.database)
    hold = await send(ledger, wanted(1000))
    with pytest.raises(NotFound, match="still under way"):
        await doubts.reconcile(hold.id, PAID)
    told = items.settling(hold.id, PAID, book(PAID, hold_micro_usd=1000), act="reconcile")
    assert (await Books(site.database).settle([told])).known == (False,), "nor when it was in doubt a moment ago"
    await ledger.doubt(hold)
    [call] = await doubts.page()
    assert (call.id, call.hold_micro_usd, call.attribution.skill) == (hold.id, 1000, "create-goal")
    assert (await doubts.reconcile(call.id, PAID)).cost_micro_usd == 700
    with pytest.raises(NotFound):
        await doubts.reconcile(call.id, PAID)
    with pytest.raises(NotFound):
        await doubts.reconcile(CallId("nothing"), PAID)
    account = await site.account()
    assert (account["spent"], account["in_doubt"]) == (700, 0)


async def test_a_raised_cap_opens_the_scope_and_keeps_who_raised_it(site: Site) -> None:
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    await pay(ledger, wanted(1000, cap=1000), 1000)
    assert await fired(site) == [80, 95, 100]
    raised = await accounts.set_cap(key(), 2000, audit=AUDIT)
    assert (raised.cap, raised.spent, raised.paused) == (2000, 1000, None)
    await pay(ledger, wanted(600, cap=1000), 600)
    assert await fired(site) == [80, 95, 100, 80]
    [row] = await site.rows("select caller, verb, kind, name from audit_events")
    assert row == {"caller": "operator", "verb": "update", "kind": "Budget", "name": "skill/wealth/create-goal/day"}


async def test_a_cap_that_can_not_be_kept_is_not_changed_either(site: Site) -> None:
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    await pay(ledger, wanted(1000, cap=1000), 1000)
    with pytest.raises(Exception, match="verb"):
        await accounts.set_cap(key(), 2000, audit={"caller": "operator"})
    assert (await accounts.get(key())).cap == 1000
    with pytest.raises(Invalid, match="below 0"):
        await accounts.set_cap(key(), -1, audit=AUDIT)
    with pytest.raises(NotFound, match="has spent nothing"):
        await accounts.set_cap(key(Scope(ScopeKind.SKILL, "wealth/other")), 1, audit=AUDIT)


async def test_a_reset_forgives_what_was_spent_and_what_was_in_doubt(site: Site) -> None:
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    hold = await send(ledger, wanted(1000, cap=1000))
    await ledger.doubt(hold)
    reset = await accounts.reset(key(), audit=AUDIT)
    assert (reset.spent, reset.paused, reset.in_doubt) == (0, None, 1000)
    await pay(ledger, wanted(1000, cap=1000), 1000)
    assert await fired(site) == [80, 95, 100] * 2
    await LedgerDoubts(site.database).reconcile(hold.id, PAID)
    assert (await site.account())["spent"] == 1700


async def test_a_lowered_cap_stops_new_leases(site: Site) -> None:
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    await pay(ledger, wanted(1000), 1000)
    assert (await accounts.set_cap(key(), 500, audit=AUDIT)).paused == "Cap"
    await ledger._leases.renew()
    with pytest.raises(BudgetExceeded, match=r"\$0.001 of the cap of \$0.0005"):
        await ledger.reserve(wanted(1))
    assert [a.key.scope for a in await accounts.page(scope=SKILL)] == [SKILL]
    assert len(await accounts.page()) == 2


async def test_old_accounts_go_but_none_that_owes(site: Site) -> None:
    ledger = await site.open()
    await pay(ledger, wanted(1000), 1000)
    await ledger.close()
    other = await site.open()
    doubtful = wanted(1000, under=limits(5000)[1:])
    await other.doubt(await send(other, doubtful))
    await other.close()
    await site.rows("update ledger_accounts set opened_at = now() - interval '100 days' returning id")
    await maintain(site.database)
    assert [r["scope_kind"] for r in await site.rows("select scope_kind from ledger_accounts")] == ["platform"]
    assert len(await LedgerDoubts(site.database).page()) == 1


async def test_windows_of_rate_limits_go_after_a_week(site: Site) -> None:
    site.clock.at = (await site.rows("select now() - interval '8 days' as at"))[0]["at"]
    ledger = await site.open()
    under = (Limit(SKILL, Window.MINUTE, 10, Unit.REQUESTS), Limit(SKILL, Window.DAY, 10_000))
    await pay(ledger, wanted(1000, under=under), 1000)
    await ledger.close()
    await maintain(site.database, keep_days=1)
    assert [r["window_kind"] for r in await site.rows("select window_kind from ledger_accounts")] == ["day"]


async def test_calls_lie_in_days_and_go_by_the_day(site: Site) -> None:
    site.clock.at = (await site.rows("select now() as at"))[0]["at"]
    ledger = await site.open()
    await pay(ledger, wanted(1000), 1000)
    today: date = site.clock.at.date()
    [row] = await site.rows("select tableoid::regclass::text as partition from ledger_calls")
    assert row["partition"] == f"ledger_calls_p{today:%Y%m%d}"
    assert {kept.table for kept in RETAINED} == set(PARTITIONED_TABLES)
    assert today in await drop_days(site.database, "ledger_calls", first_kept=today + timedelta(days=1))
    assert await site.rows("select * from ledger_calls") == []


async def test_a_restored_ledger_owes_what_was_under_way(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(1000))
    async with site.database.transaction() as connection:
        told = await end_restored_leases(connection, {"ledger_epochs": hold.epoch + 50})
        assert told.startswith("1 model calls were under way")
        assert await end_restored_leases(connection, {}) == ""
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (1000, 1000, 0)
    assert not await Books(site.database).renew(hold.epoch, ttl_seconds=10)
    assert (await site.open())._leases.epoch > hold.epoch + 1050


async def test_another_cap_in_the_object_counts_at_once_and_the_same_one_leaves_a_person_s_alone(site: Site) -> None:
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    await pay(ledger, wanted(1000, cap=1000), 1000)
    assert (await site.account())["paused"] == "Cap"
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(wanted(1000, cap=1000))
    site.clock.turn(1)  # a refusal is remembered for a moment
    await pay(ledger, wanted(1000, cap=5000), 1000)
    account = await site.account()
    assert (account["cap"], account["paused"], account["fired"]) == (5000, None, 0)
    await accounts.set_cap(key(), 9000, audit=AUDIT)
    await pay(ledger, wanted(3500, cap=5000), 3500)
    assert (await site.account())["cap"] == 9000
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(wanted(1000, cap=5500))
    account = await site.account()
    assert (account["cap"], account["paused"]) == (5500, "Cap")


async def test_what_has_no_bound_is_booked_and_is_no_overrun(site: Site) -> None:
    ledger = await site.open()
    unbounded = replace(wanted(0, cap=None), is_bounded=False)
    hold = await send(ledger, unbounded)
    settled = await ledger.settle(hold, Settlement(upstream_micro_usd=12_345))
    assert (settled.cost_micro_usd, settled.findings) == (12_345, ())
    account = await site.account()
    assert (account["spent"], account["overrun"], account["paused"]) == (12_345, 0, None)
