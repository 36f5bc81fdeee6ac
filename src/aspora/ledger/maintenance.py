"""The loop that keeps the ledger in shape: day partitions made ahead, accounts of old windows forgotten.

Old days of calls go with those of the records: see `RETAINED`.
"""

import asyncio
from typing import Final

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.db.retention import Retained
from aspora.kit.supervise import wait_for_event

PARTITIONED_TABLES = ("ledger_calls",)
RETAINED: Final = (Retained(table="ledger_calls", min_days=92),)
"""Costs are asked for by the quarter. Calls in doubt are no rows of this table: they stay until reconciled."""

KEEP_ACCOUNT_DAYS: Final = 92
DAYS_AHEAD = 4
_LIMIT = 5000
_INTERVAL_SECONDS = 3600.0

_queries = Queries.load("aspora.ledger", "ledger.sql")


async def maintain(database: Database, *, keep_days: int = KEEP_ACCOUNT_DAYS) -> None:
    """One round; safe to run by several processes at once.

    Args:
        keep_days: How long after it was opened an account stays, when nothing of it is leased or in doubt; at least
            `KEEP_ACCOUNT_DAYS`. One of a minute or an hour, as rate limits have many, goes after a week.
    """
    keep_days = max(keep_days, KEEP_ACCOUNT_DAYS)
    async with database.connection() as connection:
        for table in PARTITIONED_TABLES:
            await ensure_partitions(connection, table, DAYS_AHEAD)
    forgotten = _LIMIT
    while forgotten >= _LIMIT:
        async with database.connection() as connection:
            forgotten = await _queries.fetch_value(connection, "forget", keep_days=keep_days, limit=_LIMIT)


async def maintain_ledger(database: Database, stop: asyncio.Event, *, keep_days: int = KEEP_ACCOUNT_DAYS) -> None:
    """A round at once and then each hour, until told to stop."""
    while True:
        await maintain(database, keep_days=keep_days)
        if await wait_for_event(stop, _INTERVAL_SECONDS):
            return
