"""Ledgers on a real PostgreSQL, and the books as an auditor sees them."""

import itertools
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aspora.db.pool import Database
from aspora.ledger.escrow import Escrow
from aspora.ledger.interface import (
    AccountKey,
    Attribution,
    Hold,
    Limit,
    Reservation,
    Scope,
    ScopeKind,
    Settled,
    Settlement,
    Window,
)
from aspora.ledger.leases import Terms
from aspora.ledger.windows import key_of

NOW = datetime(2026, 3, 31, 12, 30, 15, tzinfo=UTC)
SKILL = Scope(ScopeKind.SKILL, "wealth/create-goal")
PLATFORM = Scope(ScopeKind.PLATFORM, "")
AUDIT = {"caller": "operator", "verb": "update"}
TERMS = Terms(ttl_seconds=30, patience_seconds=0.0, tick_seconds=0.05)


class HandClock:
    """Turned by hand."""

    def __init__(self) -> None:
        self.at = NOW
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def turn(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


class Site:
    """One database, several ledgers."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.ids = (f"call-{n:06d}" for n in itertools.count())
        self.opened: list[Escrow] = []

    async def open(self, terms: Terms = TERMS, **other: Any) -> Escrow:
        settings = {"database": self.database, "name": "test", "clock": self.clock, "terms": terms} | other
        opened = await Escrow.open(new_id=lambda: next(self.ids), **settings)
        self.opened.append(opened)
        return opened

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return await (await connection.execute(sql.encode())).fetchall()

    async def account(self, scope: Scope = SKILL) -> dict[str, Any]:
        [row] = await self.rows(f"select * from ledger_accounts where scope_kind = '{scope.kind}'")
        return row

    async def expire_all(self) -> None:
        await self.rows("update ledger_holders set expires_at = now() - interval '1 s' returning epoch")


def limits(cap: int | None, *, window: Window = Window.DAY) -> tuple[Limit, ...]:
    return (Limit(SKILL, window, cap), Limit(PLATFORM, window, None))


def wanted(
    hold: int, *, cap: int | None = 5_000_000, under: tuple[Limit, ...] | None = None, tokens: int = 0
) -> Reservation:
    return Reservation(
        limits=limits(cap) if under is None else under,
        hold_micro_usd=hold,
        hold_tokens=tokens,
        model="claude-haiku-4-5",
        provider="openrouter",
        attribution=Attribution(domain="wealth", skill="create-goal", user="u1"),
    )


def key(scope: Scope = SKILL, window: Window = Window.DAY) -> AccountKey:
    return key_of(Limit(scope, window, None), NOW)


async def fired(site: Site) -> list[int]:
    """Percents of all thresholds that were passed, in that order."""
    return [row["percent"] for row in await site.rows("select percent from ledger_thresholds order by id")]


async def send(ledger: Escrow, reservation: Reservation) -> Hold:
    """Everything up to the call's going out."""
    hold = await ledger.reserve(reservation)
    await ledger.intend(hold)
    assert ledger.may_send(hold)
    return hold


async def pay(ledger: Escrow, reservation: Reservation, cost: int, **told: Any) -> Settled:
    return await ledger.settle(await send(ledger, reservation), Settlement(upstream_micro_usd=cost, **told))


@pytest.fixture
async def site(database: Database) -> AsyncGenerator[Site]:
    made = Site(database)
    yield made
    for ledger in made.opened:
        await ledger.close(grace_seconds=5)
