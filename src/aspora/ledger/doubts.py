"""Calls of which nobody knows what they cost, and processes that ended without a word."""

from collections.abc import Sequence

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.ledger import costs, items
from aspora.ledger.books import Books
from aspora.ledger.interface import Attribution, CallId, DoubtfulCall, Settled, Settlement, Swept
from aspora.meta.errors import NotFound

_queries = Queries.load("aspora.ledger", "ledger.sql")


class LedgerDoubts:
    """Implements `Doubts`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._books = Books(database)

    async def sweep(self) -> Sequence[Swept]:
        """End all holders whose time is over."""
        swept: list[Swept] = []
        while found := await self._books.sweep():
            swept.append(found)
        return swept

    async def page(self, *, limit: int = 500) -> Sequence[DoubtfulCall]:
        """Calls in doubt, oldest first."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "list_doubts", limit=limit)
        return [_call(row) for row in rows]

    async def reconcile(self, call: CallId, settlement: Settlement) -> Settled:
        """Book what a call in doubt really cost."""
        async with self._database.connection() as connection:
            hold = await _queries.fetch_value(connection, "get_doubt", id=call)
        if hold is not None:
            booking = costs.book(settlement, hold_micro_usd=hold, is_bounded=hold > 0)
            answers = await self._books.settle(
                [items.settling(call, settlement, booking, act="reconcile", is_bounded=hold > 0)]
            )
            if answers.known[0]:
                return Settled(booking.cost_micro_usd, booking.source, booking.findings, True)
        raise NotFound(f"no call {call!r} is in doubt: it is settled or still under way; list those that are")


def _call(row: Row) -> DoubtfulCall:
    return DoubtfulCall(
        id=row["id"],
        hold_micro_usd=row["hold"],
        model=row["model"],
        provider=row["provider"],
        reserved_at=row["reserved_at"],
        attribution=Attribution(**row["attribution"]),
        route=row["route"],
    )
