"""The loop that keeps the records in shape: day partitions made ahead and dropped when old, expired keys forgotten."""

import asyncio
from collections.abc import Sequence

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.db.retention import Retained
from aspora.kit.supervise import wait_for_event
from aspora.records import idempotency
from aspora.records.nodes import Nodes
from aspora.records.retention import DEFAULT_DAYS, RETAINED, present_day, retain

PARTITIONED_TABLES = ("executions", "execution_events", "model_calls", "effects", "execution_steps", "events")
DAYS_AHEAD = 4
_INTERVAL_SECONDS = 3600.0


async def maintain(
    database: Database, *, keep_days: int = DEFAULT_DAYS, retained: Sequence[Retained] = RETAINED
) -> None:
    """One round; safe to run by several processes at once.

    Args:
        keep_days: Whole UTC days before today whose records stay.
        retained: The tables whose old days go.
    """
    async with database.connection() as connection:
        for table in PARTITIONED_TABLES:
            await ensure_partitions(connection, table, DAYS_AHEAD)
        await idempotency.forget_expired(connection)
        today = await present_day(connection)
    await Nodes(database).forget_dead()
    await retain(database, keep_days=keep_days, today=today, tables=retained)


async def maintain_records(
    database: Database, stop: asyncio.Event, *, keep_days: int = DEFAULT_DAYS, retained: Sequence[Retained] = RETAINED
) -> None:
    """A round at once and then each hour, until told to stop."""
    while True:
        await maintain(database, keep_days=keep_days, retained=retained)
        if await wait_for_event(stop, _INTERVAL_SECONDS):
            return
