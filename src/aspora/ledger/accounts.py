"""Budgets seen and changed by people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.ledger.interface import Account, AccountKey, Scope, ScopeKind, Unit, Window
from aspora.meta.errors import Invalid, NotFound
from aspora.meta.objects import rfc3339

_queries = Queries.load("aspora.ledger", "ledger.sql")


class LedgerAccounts:
    """Implements `Accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: AccountKey) -> Account:
        """One account."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "get_account",
                scope_kind=key.scope.kind,
                scope_name=key.scope.name,
                window_kind=key.window,
                window_start=key.start,
                unit=key.unit,
            )
        if row is None:
            raise NotFound(
                f"{key.scope.kind} {key.scope.name!r} has spent nothing in the {key.window} that begins at"
                f" {rfc3339(key.start)}; name one that has"
            )
        return account_of(row)

    async def page(self, *, scope: Scope | None = None, limit: int = 500) -> Sequence[Account]:
        """Accounts, newest window first."""
        kind, name = (scope.kind, scope.name) if scope else (None, None)
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "list_accounts", scope_kind=kind, scope_name=name, limit=limit)
        return [account_of(row) for row in rows]

    async def set_cap(self, key: AccountKey, cap: int | None, *, audit: Mapping[str, Any]) -> Account:
        """Change a window's cap."""
        if cap is not None and cap < 0:
            raise Invalid(f"a cap of {cap} for {key.scope.kind} {key.scope.name!r} is below 0; use 0 to allow nothing")
        return await self._amend(key, resets=False, cap=cap, audit=audit)

    async def reset(self, key: AccountKey, *, audit: Mapping[str, Any]) -> Account:
        """Forgive what the window has spent so far."""
        return await self._amend(key, resets=True, cap=None, audit=audit)

    async def _amend(self, key: AccountKey, *, resets: bool, cap: int | None, audit: Mapping[str, Any]) -> Account:
        account = await self.get(key)
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection, "amend", account=account.id, resets=resets, cap=cap, audit=json.dumps(dict(audit))
            )
        return await self.get(key) if row is None else account_of(row)


def key_in(row: Row) -> AccountKey:
    """Which account a row is about."""
    return AccountKey(
        Scope(ScopeKind(row["scope_kind"]), row["scope_name"]),
        Window(row["window_kind"]),
        row["window_start"],
        Unit(row["unit"]),
    )


def account_of(row: Row) -> Account:
    """An account's row."""
    spent, cap = row["spent"] - row["forgiven"], row["cap"]
    return Account(
        id=row["id"],
        key=key_in(row),
        cap=cap,
        spent=spent,
        leased=row["leased"],
        in_doubt=row["in_doubt"],
        overrun=row["overrun"],
        paused=row["paused"],
        is_throttled=row["unit"] == Unit.MICRO_USD and cap is not None and spent > 0 and spent * 100 >= cap * 95,
        opened_at=row["opened_at"],
    )
