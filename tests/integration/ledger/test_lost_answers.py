"""Statements whose answer does not come: nothing is booked twice, nothing is reserved that may be another's."""

import asyncio
from typing import Any

import pytest
from tests.integration.ledger.conftest import TERMS, Site, pay, send, wanted

from aspora.db.failures import ConnectionLost
from aspora.ledger.books import Books
from aspora.ledger.escrow import Escrow
from aspora.ledger.interface import Settlement
from aspora.meta.errors import BudgetExceeded, Unavailable

PAID = Settlement(upstream_micro_usd=700)


class Flaky(Books):
    """Fails as often as told; what it failed to send may still arrive, by `arrive`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.failures = 0
        self.late: list[Any] = []

    async def intend(self, *args: Any) -> bool:
        self._fail(args)
        return await super().intend(*args)

    async def settle(self, *args: Any) -> Any:
        self._fail(args)
        return await super().settle(*args)

    async def grant(self, *args: Any) -> Any:
        rows = await super().grant(*args)
        self._fail(args)
        return rows

    def _fail(self, args: Any) -> None:
        if self.failures:
            self.failures -= 1
            self.late.append(args)
            raise ConnectionLost("the database can't be reached")

    async def arrive(self) -> None:
        assert await Books.intend(self, *self.late.pop())


async def flaky(site: Site) -> tuple[Escrow, Flaky]:
    books = Flaky(site.database)
    ledger = Escrow(books, name="flaky", clock=site.clock, new_id=lambda: next(site.ids), terms=TERMS)
    site.opened.append(ledger)
    return ledger, books


def pass_unsure_time(site: Site) -> None:
    """All but the end of the lease, which is longer in the database."""
    site.clock.turn(TERMS.unsure_seconds)


async def test_an_intent_that_arrives_after_its_release_finds_its_hold_still_leased(site: Site) -> None:
    ledger, books = await flaky(site)
    hold = await ledger.reserve(wanted(5000, cap=5000))
    books.failures = 1
    with pytest.raises(Unavailable):
        await ledger.intend(hold)
    assert not ledger.may_send(hold)
    await ledger.release(hold)
    with pytest.raises(BudgetExceeded, match="calls under way"):
        await ledger.reserve(wanted(1, cap=5000))
    await books.arrive()
    pass_unsure_time(site)
    await ledger._tick()
    await ledger._endings.drain()
    assert await site.rows("select * from ledger_intents") == []
    await pay(ledger, wanted(5000, cap=5000), 5000)
    assert (await site.account())["leased"] == 0


async def test_a_put_off_release_is_not_forgotten_at_the_end(site: Site) -> None:
    ledger, books = await flaky(site)
    hold = await ledger.reserve(wanted(5000))
    books.failures = 1
    with pytest.raises(Unavailable):
        await ledger.intend(hold)
    await ledger.release(hold)
    await books.arrive()
    await ledger.close()
    assert await site.rows("select * from ledger_intents") == []
    account = await site.account()
    assert (account["spent"], account["in_doubt"], account["leased"]) == (0, 0, 0)


async def test_what_was_spent_is_booked_when_the_database_is_back(site: Site) -> None:
    ledger, books = await flaky(site)
    hold = await send(ledger, wanted(1000))
    books.failures = 2
    settling = ledger.settle(hold, PAID)
    settling.cancel()
    await ledger._endings.drain()
    assert books.failures == 0
    assert (await site.account())["spent"] == 700, "though its caller has left"


async def test_a_slice_whose_grant_got_lost_is_found_again(site: Site) -> None:
    ledger, books = await flaky(site)
    books.failures = 1
    with pytest.raises(Unavailable):
        await ledger.reserve(wanted(5000, cap=5000))
    assert (await site.account())["leased"] == 5000
    with pytest.raises(BudgetExceeded):
        await ledger.reserve(wanted(5000, cap=5000))
    pass_unsure_time(site)
    await ledger._tick()
    assert (await site.account())["leased"] == 0
    await ledger.reserve(wanted(5000, cap=5000))


async def test_no_call_goes_out_while_the_database_is_away(site: Site) -> None:
    ledger, books = await flaky(site)
    hold = await ledger.reserve(wanted(1000))
    books.failures = 3
    for _ in range(3):
        with pytest.raises(Unavailable):
            await ledger.intend(hold)
        assert not ledger.may_send(hold)
    await ledger.intend(hold)
    assert ledger.may_send(hold)


async def test_whatever_the_upstream_calls_itself_is_kept_somehow(site: Site) -> None:
    ledger = await site.open()
    good, bad = await send(ledger, wanted(1000)), await send(ledger, wanted(1000))
    odd = Settlement(upstream_micro_usd=700, model="m\x00\ud800" * 500, input_tokens=10**30, output_tokens=-1)
    for settled in await asyncio.gather(ledger.settle(good, PAID), ledger.settle(bad, odd)):
        assert settled.cost_micro_usd == 700
    assert (await site.account())["spent"] == 1400
