"""The loop that keeps the event log in shape: day partitions made ahead, old days forgotten."""

import asyncio

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.kit.supervise import wait_for_event

DAYS_AHEAD = 4
KEEP_DAYS = 2
_INTERVAL_SECONDS = 3600.0

_queries = Queries.load("aspora.store", "objects.sql")


async def maintain(database: Database, *, keep_days: int = KEEP_DAYS) -> int:
    """One round; safe to run by several processes at once.

    Args:
        database: Where the log is.
        keep_days: Whole UTC days before today whose events stay; a watch from before them gets `Expired`.

    Returns:
        The version up to which history is gone.
    """
    async with database.connection() as connection:
        await ensure_partitions(connection, "object_events", DAYS_AHEAD)
        compacted: int = await _queries.fetch_value(connection, "compact", keep_days=keep_days)
    return compacted


async def maintain_objects(database: Database, stop: asyncio.Event) -> None:
    """A round at once and then each hour, until told to stop."""
    while True:
        await maintain(database)
        if await wait_for_event(stop, _INTERVAL_SECONDS):
            return
