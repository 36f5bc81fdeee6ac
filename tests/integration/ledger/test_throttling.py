"""Near its cap an account lets one call a second through, on a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from tests.integration.ledger.conftest import AUDIT, PLATFORM, SKILL, TERMS, Site, key, pay, send, wanted

from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.interface import Limit, Settlement, Unit, Window
from aspora.meta.errors import TooManyRequests

CAP = 100_000
CALL = wanted(100, cap=CAP)


async def near_cap(site: Site) -> None:
    """95 % are spent, by a process that is gone."""
    ledger = await site.open()
    await pay(ledger, wanted(95_000, cap=CAP), 95_000)
    await ledger.close()


async def test_one_call_a_second_goes_through(site: Site) -> None:
    ledger = await site.open()
    await pay(ledger, wanted(94_000, cap=CAP), 94_000)
    for _ in range(9):
        await pay(ledger, CALL, 100)
    await pay(ledger, CALL, 100)
    assert (await site.account())["spent"] == 95_000, "now it is near"
    for _ in range(3):
        await pay(ledger, CALL, 100)
        with pytest.raises(TooManyRequests, match="skill 'wealth/create-goal' has spent 95 % of its cap") as refused:
            await ledger.reserve(CALL)
        assert refused.value.retry_after_seconds == pytest.approx(1)
        site.clock.turn(1)
    await ledger.reserve(replace(CALL, limits=(Limit(PLATFORM, Window.DAY, None),)))
    await ledger.reserve(replace(CALL, limits=(Limit(PLATFORM, Window.DAY, None),)))


async def test_a_process_learns_it_when_it_leases_and_when_it_renews(site: Site) -> None:
    other = await site.open(replace(TERMS, calls_per_slice=4))
    await other.reserve(CALL)
    await near_cap(site)
    fresh = await site.open()
    await fresh.reserve(CALL)
    with pytest.raises(TooManyRequests):
        await fresh.reserve(CALL)
    await other.reserve(CALL)
    await other._leases.renew()
    await other.reserve(CALL)
    with pytest.raises(TooManyRequests):
        await other.reserve(CALL)


@pytest.mark.parametrize("resets", [True, False])
async def test_a_raised_cap_and_a_reset_lift_it(site: Site, *, resets: bool) -> None:
    await near_cap(site)
    ledger, accounts = await site.open(), LedgerAccounts(site.database)
    await ledger.reserve(CALL)
    if resets:
        await accounts.reset(key(), audit=AUDIT)
    else:
        await accounts.set_cap(key(), 2 * CAP, audit=AUDIT)
    await ledger._leases.renew()
    for _ in range(3):
        await ledger.reserve(CALL)


async def test_what_is_idle_is_forgotten_and_learned_anew(site: Site) -> None:
    await near_cap(site)
    ledger = await site.open()
    await ledger.release(await ledger.reserve(CALL))
    for _ in range(2):
        await ledger._leases.tick()
    await ledger._leases.renew()
    with pytest.raises(TooManyRequests):
        await ledger.reserve(CALL)
    site.clock.turn(1)
    await ledger._leases.renew()
    await ledger.reserve(CALL)
    with pytest.raises(TooManyRequests):
        await ledger.reserve(CALL)


async def test_a_doubt_that_is_reconciled_to_less_lifts_it(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(96_000, cap=CAP))
    await ledger.doubt(hold)
    await ledger.reserve(CALL)
    with pytest.raises(TooManyRequests):
        await ledger.reserve(CALL)
    await ledger.settle(hold, Settlement(upstream_micro_usd=700))
    for _ in range(3):
        await ledger.reserve(CALL)


async def test_a_call_waits_for_its_turn(site: Site) -> None:
    await near_cap(site)
    ledger = await site.open(replace(TERMS, patience_seconds=60.0))
    await ledger.reserve(CALL)
    site.clock.turn(0.999)
    waiting = asyncio.create_task(ledger.reserve(CALL))
    while not waiting.done():
        await asyncio.sleep(0.01)
        site.clock.turn(0.001)
    assert (await waiting).parts


async def test_rates_are_not_throttled(site: Site) -> None:
    ledger = await site.open()
    under = (Limit(SKILL, Window.MINUTE, 20, Unit.REQUESTS),)
    for _ in range(20):
        await pay(ledger, wanted(0, under=under), 0)
