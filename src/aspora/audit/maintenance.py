"""The loop that keeps the audit's day partitions made ahead, and how long they stay."""

import asyncio
from typing import Final

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.db.retention import Retained
from aspora.kit.supervise import wait_for_event

PARTITIONED_TABLES = ("audit_events",)
RETAINED: Final = (Retained(table="audit_events", min_days=365),)
"""Who did what is asked for longer than what came of it: a year at least."""

DAYS_AHEAD = 4
_INTERVAL_SECONDS = 3600.0


async def maintain(database: Database) -> None:
    """One round; safe to run by several processes at once."""
    async with database.connection() as connection:
        for table in PARTITIONED_TABLES:
            await ensure_partitions(connection, table, DAYS_AHEAD)


async def maintain_audit(database: Database, stop: asyncio.Event) -> None:
    """A round at once and then each hour, until told to stop."""
    while True:
        await maintain(database)
        if await wait_for_event(stop, _INTERVAL_SECONDS):
            return
