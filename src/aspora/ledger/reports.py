"""Budgets, calls and costs as people look at them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.ledger.accounts import account_of
from aspora.ledger.interface import (
    Account,
    Attribution,
    Call,
    CallFilter,
    CallId,
    CallState,
    CostBy,
    CostSum,
    ScopeKind,
)
from aspora.meta.errors import NotFound

_queries = Queries.load("aspora.ledger", "reports.sql")
_MOST_ID = 2**63 - 1
_SAME = (
    "reserved_at",
    "settled_at",
    "was_in_doubt",
    "cost_source",
    "upstream_micro_usd",
    "priced_micro_usd",
    "input_tokens",
    "output_tokens",
    "model",
    "provider",
    "outcome",
    "route",
)
"""Columns that are attributes by the same name."""


class LedgerReports:
    """Implements `Reports`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def budget(self, id_: int) -> Account:
        """One account."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "get_budget", id=min(id_, _MOST_ID))
        if row is None:
            raise no_such_budget(str(id_))
        return account_of(row)

    async def budgets(
        self, *, domains: Sequence[str] | None, kind: ScopeKind | None = None, before: int | None = None, limit: int
    ) -> Sequence[Account]:
        """Accounts of the windows that are open now, newest first."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection, "list_budgets", domains=_list(domains), scope_kind=kind, before_id=before, limit=limit
            )
        return [account_of(row) for row in rows]

    async def call(self, id_: str) -> Call:
        """One call."""
        rows = await self._calls(CallFilter(), id_=id_, limit=1)
        if not rows:
            raise no_such_call(id_)
        return _call(rows[0])

    async def calls(self, wanted: CallFilter, *, limit: int) -> Sequence[Call]:
        """Calls, newest first."""
        return [_call(row) for row in await self._calls(wanted, id_=None, limit=limit)]

    async def costs(
        self, by: CostBy, *, since: datetime, domains: Sequence[str] | None, limit: int
    ) -> tuple[CostSum, Sequence[CostSum]]:
        """The sum of all calls since then, and the sums by name."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection, "sum_costs", by=by, since=since, domains=_list(domains), limit=limit + 1
            )
        total, *sums = map(_sum, rows)
        return total, sums

    async def _calls(self, wanted: CallFilter, *, id_: str | None, limit: int) -> list[Row]:
        before, before_id = wanted.before or (None, None)
        async with self._database.connection() as connection:
            return await _queries.fetch_all(
                connection,
                "list_calls",
                id=id_,
                domains=_list(wanted.domains),
                skill=wanted.skill,
                since=wanted.since,
                settled=CallState.SETTLED in wanted.states,
                in_doubt=CallState.IN_DOUBT in wanted.states,
                open=CallState.OPEN in wanted.states,
                before=before,
                before_id=before_id,
                limit=limit,
            )


def no_such_budget(name: str) -> NotFound:
    """The one answer for a budget that is not there and for one that the caller may not see."""
    return NotFound(f"no budget {name!r}; see those that there are: aspora get budgets")


def no_such_call(name: str) -> NotFound:
    """Likewise for a call."""
    return NotFound(f"no call {name!r}; see those that there are: aspora get calls")


def _list(domains: Sequence[str] | None) -> list[str] | None:
    return None if domains is None else list(domains)


def _sum(row: Row) -> CostSum:
    return CostSum(
        name=row["name"] or "",
        calls=row["calls"],
        cost_micro_usd=int(row["cost"]),
        doubtful_calls=row["doubtful_calls"],
        doubt_micro_usd=int(row["doubt"]),
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
    )


def _call(row: Row) -> Call:
    same: dict[str, Any] = {name: row[name] for name in _SAME}
    return Call(
        id=CallId(row["id"]),
        state=CallState(row["state"]),
        hold_micro_usd=row["hold"],
        cost_micro_usd=row["cost"],
        findings=tuple(row["findings"]),
        attribution=Attribution(
            domain=row["domain"],
            skill=row["skill"],
            revision=row["revision"],
            execution=row["execution"],
            user=row["user_name"],
            trigger=row["trigger_name"],
            cost_center=row["cost_center"],
        ),
        **same,
    )
