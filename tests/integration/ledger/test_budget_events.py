"""Thresholds of budgets are told once each, whoever passed them and however many processes tell."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.integration.ledger.conftest import NOW, SKILL, Site, send, wanted

from aspora.db.pool import Connection
from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.doubts import LedgerDoubts
from aspora.ledger.interface import Limit, Scope, ScopeKind, Settlement, Threshold, Window
from aspora.ledger.thresholds import LedgerThresholds
from aspora.ledger.windows import key_of
from aspora.meta.errors import Unavailable
from aspora.models.budget_events import BudgetEvents
from aspora.telemetry.metrics import Metrics

DOMAIN = Scope(ScopeKind.DOMAIN, "wealth")
UNDER = (Limit(SKILL, Window.DAY, 1000), Limit(DOMAIN, Window.MONTH, 1100))
EVENTS = (
    "select domain, regarding_kind, regarding_name, reason, message, count from events order by regarding_kind desc, id"
)


class OneDomain:
    """Knows the domain wealth."""

    async def get(self, kind: str, name: str, *, domain: str = "") -> Mapping[str, Any] | None:
        return {"spec": {"ownerTeam": "advice"}} if (kind, name) == ("Domain", "wealth") else None

    async def list(self, kind: str, *, domain: str | None = None) -> Sequence[Mapping[str, Any]]:
        return []


def teller(site: Site, metrics: Metrics | None = None) -> BudgetEvents:
    thresholds = LedgerThresholds(site.database)
    return BudgetEvents(thresholds, OneDomain(), asyncio.Event(), metrics=metrics or Metrics(), on_told=lambda: None)


async def test_a_threshold_is_told_to_those_who_look_at_the_object(site: Site) -> None:
    metrics, ledger = Metrics(), await site.open()
    telling = teller(site, metrics)
    hold = await send(ledger, wanted(900, under=UNDER))
    await ledger.settle(hold, Settlement(upstream_micro_usd=900))
    await telling.tell()
    skill, domain = await site.rows(EVENTS)
    assert (skill["domain"], skill["regarding_kind"], skill["regarding_name"]) == ("wealth", "Skill", "create-goal")
    assert skill["reason"] == domain["reason"] == "BudgetWarning"
    assert (domain["domain"], domain["regarding_kind"], domain["regarding_name"]) == ("wealth", "Domain", "wealth")
    assert domain["message"] == (
        "domain 'wealth' has spent $0.0009 of $0.0011 for this month (80 % passed): at 95 % its calls are let through"
        " slowly, at 100 % none is; it resets at 2026-04-01T00:00:00.000Z; owner team: advice"
    )
    assert b'aspora_budget_thresholds_total{percent="80",scope="skill"} 1.0' in metrics.render()
    await telling.tell()
    assert len(await site.rows(EVENTS)) == 2


async def test_what_a_sweep_and_what_a_release_pass_is_told(site: Site) -> None:
    under = (Limit(SKILL, Window.DAY, 1000),)
    woken = asyncio.Event()
    dead, ledger = await site.open(), await site.open(on_fired=woken.set)
    await send(dead, wanted(800, under=under))
    await site.expire_all()
    await LedgerDoubts(site.database).sweep()
    await teller(site).tell()
    assert [row["reason"] for row in await site.rows(EVENTS)] == ["BudgetWarning"]
    await LedgerAccounts(site.database).set_cap(
        key_of(under[0], NOW), 830, audit={"caller": "operator", "verb": "update"}
    )
    await ledger.release(await send(ledger, wanted(1, under=under)))
    assert woken.is_set()
    await teller(site).tell()
    assert [row["reason"] for row in await site.rows(EVENTS)] == ["BudgetWarning", "BudgetThrottled"]


async def test_many_tellers_tell_each_once_and_one_that_fails_leaves_it_to_the_others(site: Site) -> None:
    ledger = await site.open()
    for n in range(30):
        under = (Limit(Scope(ScopeKind.SKILL, f"wealth/s{n}"), Window.DAY, 1000),)
        await ledger.settle(await send(ledger, wanted(1000, under=under)), Settlement(upstream_micro_usd=1000))

    async def fail(_connection: Connection, _passed: Sequence[Threshold]) -> None:
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        await LedgerThresholds(site.database).tell_next(fail)
    await asyncio.gather(*(teller(site).tell() for _ in range(4)))
    rows = await site.rows(EVENTS)
    assert (len(rows), {row["count"] for row in rows}) == (90, {1})


async def test_it_tells_when_it_is_woken(site: Site) -> None:
    told, stop, fired = asyncio.Event(), asyncio.Event(), asyncio.Event()
    thresholds = LedgerThresholds(site.database)
    telling = BudgetEvents(thresholds, OneDomain(), fired, metrics=Metrics(), on_told=told.set)
    running = asyncio.create_task(telling.run(stop))
    ledger = await site.open(on_fired=fired.set)
    user = (
        Limit(Scope(ScopeKind.KEY, "ci@wealth"), Window.DAY, 1000),
        Limit(Scope(ScopeKind.EXECUTION, "e"), Window.EXECUTION, 1000),
    )
    await ledger.settle(await send(ledger, wanted(800, under=user)), Settlement(upstream_micro_usd=800))
    await asyncio.wait_for(told.wait(), 5)
    stop.set()
    await running
    [row] = await site.rows(EVENTS)
    assert (row["domain"], row["regarding_kind"], row["regarding_name"]) == ("wealth", "ApiKey", "ci")
