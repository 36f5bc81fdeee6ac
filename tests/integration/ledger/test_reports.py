"""Budgets, calls and sums as people see them, on a real PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.integration.ledger.conftest import PLATFORM, SKILL, Site, pay, send, wanted

from aspora.ledger.interface import (
    Attribution,
    CallFilter,
    CallState,
    CostBy,
    Limit,
    Reservation,
    Scope,
    ScopeKind,
    Settlement,
    Window,
)
from aspora.ledger.reports import LedgerReports
from aspora.ledger.windows import domain_of
from aspora.meta.errors import NotFound

WHO = Attribution(
    domain="wealth", skill="create-goal", revision="r1", execution="e1", user="u1", trigger="t1", cost_center="cc1"
)


def by(who: Attribution, hold: int = 1000) -> Reservation:
    return replace(wanted(hold), attribution=who)


@pytest.fixture
async def now(site: Site) -> Site:
    """With the clock of the database: a list is of the present."""
    site.clock.at = (await site.rows("select now() as at"))[0]["at"]
    return site


async def test_calls_of_all_states_are_listed_newest_first_and_paged(now: Site) -> None:
    ledger, reports = await now.open(), LedgerReports(now.database)
    holds = []
    for n in range(6):
        holds.append(await send(ledger, by(replace(WHO, domain="hr") if n == 5 else WHO)))
        now.clock.turn(0.001)
    await ledger.doubt(holds[0])
    for hold in holds[2:]:
        await ledger.settle(hold, Settlement(upstream_micro_usd=700, input_tokens=3, output_tokens=4))
    found = await reports.calls(CallFilter(), limit=10)
    assert [call.id for call in found] == [hold.id for hold in reversed(holds)]
    assert [call.state for call in found] == [CallState.SETTLED] * 4 + [CallState.OPEN, CallState.IN_DOUBT]
    assert (found[0].cost_micro_usd, found[-1].cost_micro_usd, found[-1].hold_micro_usd) == (700, None, 1000)
    assert found[1].attribution == found[-1].attribution == WHO
    first = await reports.calls(CallFilter(), limit=4)
    rest = await reports.calls(CallFilter(before=(first[-1].reserved_at, first[-1].id)), limit=4)
    assert [*first, *rest] == found
    assert [c.id for c in await reports.calls(CallFilter(domains=("hr",)), limit=9)] == [holds[5].id]
    assert await reports.calls(CallFilter(domains=(), skill="create-goal"), limit=9) == []
    assert len(await reports.calls(CallFilter(since=holds[4].reserved_at), limit=9)) == 2
    open_ones = await reports.calls(CallFilter(states=frozenset({CallState.OPEN})), limit=9)
    assert [await reports.call(call.id) for call in open_ones] == [found[4]]
    with pytest.raises(NotFound, match="no call 'x'"):
        await reports.call("x")


@pytest.mark.parametrize("dimension", list(CostBy))
async def test_costs_add_up_by_anything(now: Site, dimension: CostBy) -> None:
    ledger, reports = await now.open(), LedgerReports(now.database)
    told = {"input_tokens": 3, "output_tokens": 4}
    for cost in (100, 200):
        await pay(ledger, by(WHO), cost, **told)
    other = Attribution(domain="hr", skill="s", revision="r2", user="u2", trigger="t2", cost_center="cc2")
    await ledger.doubt(await send(ledger, replace(by(other), model="other", provider="other")))
    await send(ledger, by(other))
    since = now.clock.at - timedelta(hours=1)
    total, sums = await reports.costs(dimension, since=since, domains=None, limit=10)
    assert (total.calls, total.cost_micro_usd, total.doubtful_calls, total.doubt_micro_usd) == (2, 300, 1, 1000)
    assert (total.input_tokens, total.output_tokens) == (6, 8)
    today = f"{now.clock.at:%Y-%m-%d}"
    names = {
        "domain": ["hr", "wealth"], "skill": ["hr/s", "wealth/create-goal"], "revision": ["hr/r2", "wealth/r1"],
        "model": ["other", "claude-haiku-4-5"], "provider": ["other", "openrouter"], "user": ["u2", "u1"],
        "trigger": ["t2", "t1"], "cost-center": ["cc2", "cc1"], "day": [today],
    }  # fmt: skip
    assert [one.name for one in sums] == names[dimension], "dearest first"
    assert sum(one.cost_micro_usd + one.doubt_micro_usd for one in sums) == 1300
    own, _ = await reports.costs(dimension, since=since, domains=("wealth",), limit=10)
    assert (own.cost_micro_usd, own.doubt_micro_usd) == (300, 0)
    none, sums = await reports.costs(dimension, since=since, domains=("nowhere",), limit=10)
    assert (none.calls, none.cost_micro_usd, sums) == (0, 0, [])


async def test_budgets_of_windows_that_are_open_are_listed_by_domain(now: Site) -> None:
    ledger, reports = await now.open(), LedgerReports(now.database)
    under = (
        Limit(Scope(ScopeKind.EXECUTION, "e1"), Window.EXECUTION, 5000),
        Limit(SKILL, Window.DAY, 1000),
        Limit(Scope(ScopeKind.DOMAIN, "hr"), Window.MONTH, 10_000),
        Limit(PLATFORM, Window.HOUR, None),
    )
    await pay(ledger, replace(by(WHO), limits=under), 960)
    now.clock.at -= timedelta(days=40)
    await pay(ledger, replace(by(WHO), limits=under[1:3]), 900)
    found = await reports.budgets(domains=None, limit=10)
    assert sorted(account.key.scope.kind for account in found) == ["domain", "platform", "skill"]
    [skill] = await reports.budgets(domains=("wealth",), limit=10)
    assert (skill.key.scope, skill.spent, skill.is_throttled) == (SKILL, 960, True)
    assert await reports.budget(skill.id) == skill
    [execution] = await reports.budgets(domains=None, kind=ScopeKind.EXECUTION, limit=10)
    assert execution.key.window is Window.EXECUTION
    first = await reports.budgets(domains=None, limit=2)
    assert [*first, *await reports.budgets(domains=None, before=first[-1].id, limit=2)] == found
    with pytest.raises(NotFound, match="no budget '99999999999999999999'"):
        await reports.budget(99999999999999999999)


@pytest.mark.parametrize("kind", list(ScopeKind))
@pytest.mark.parametrize("name", ["", "wealth", "wealth/x", "/x", "a/b/c", "key@wealth", "a@b@c", "d/a@b"])
async def test_the_database_and_the_code_agree_on_whose_a_scope_is(site: Site, kind: ScopeKind, name: str) -> None:
    [row] = await site.rows(f"select aspora_ledger_domain('{kind}', '{name}') as domain")
    assert row["domain"] == domain_of(Scope(kind, name))
