"""The loop that keeps the records in shape: day partitions made ahead, expired keys and long-dead nodes forgotten."""

import asyncio

from aspora.db.migrate import ensure_partitions
from aspora.db.pool import Database
from aspora.kit.supervise import wait_for_event
from aspora.records import idempotency
from aspora.records.nodes import Nodes

PARTITIONED_TABLES = ("executions", "execution_events", "model_calls", "effects")
DAYS_AHEAD = 4
_INTERVAL_SECONDS = 3600.0


async def maintain(database: Database) -> None:
    """One round; safe to run by several processes at once."""
    async with database.connection() as connection:
        for table in PARTITIONED_TABLES:
            await ensure_partitions(connection, table, DAYS_AHEAD)
        await idempotency.forget_expired(connection)
    await Nodes(database).forget_dead()


async def maintain_records(database: Database, stop: asyncio.Event) -> None:
    """A round at once and then each hour, until told to stop."""
    while True:
        await maintain(database)
        if await wait_for_event(stop, _INTERVAL_SECONDS):
            return
