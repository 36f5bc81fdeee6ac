"""Thresholds that were passed: rows that wait to be told, each taken by one process alone."""

from collections.abc import Awaitable, Callable, Sequence

from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.ledger.accounts import key_in
from aspora.ledger.interface import Threshold

_queries = Queries.load("aspora.ledger", "ledger.sql")


class LedgerThresholds:
    """Implements `Thresholds`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell_next(
        self, tell: Callable[[Connection, Sequence[Threshold]], Awaitable[None]], *, limit: int = 100
    ) -> Sequence[Threshold]:
        """Hand some that nobody was told of to `tell` and mark them, in one transaction."""

        async def take_and_tell(connection: Connection) -> Sequence[Threshold]:
            rows = await _queries.fetch_all(connection, "take_thresholds", limit=limit)
            taken = [
                Threshold(
                    key=key_in(row),
                    percent=row["percent"],
                    spent=row["spent"],
                    cap=row["cap"],
                    fired_at=row["fired_at"],
                )
                for row in rows
            ]
            if taken:
                await tell(connection, taken)
            return taken

        return await self._database.run_transaction(take_and_tell)
