"""Old rows go a day at a time: whole partitions are dropped, which costs a moment whatever they hold.

Dropping one takes the table's strong lock, and whoever writes waits behind it. So it is waited for only briefly,
between pauses that grow; on a table that is never free for a moment the next round tries again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Unavailable

PATIENCE_SECONDS = 0.1
"""How long writers may be held up by one try."""

TRIES = 12
STRAY_LIMIT = 5000
_BACKOFF = Backoff(base_seconds=0.1, max_seconds=3.0, jitter_ratio=0.5)
_queries = Queries.load("aspora.db", "retention.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """A table whose old day partitions go; its owner package lists it.

    Attributes:
        table: Partitioned by day.
        min_days: Its rows stay at least so many days, whatever the operator chose.
        goes_by_execution: Its day is that of an execution, and stays while one of that day is not over.
    """

    table: str
    min_days: int = 1
    goes_by_execution: bool = False


async def drop_days(
    database: Database,
    table: str,
    *,
    first_kept: date,
    spared: Sequence[date] = (),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rand: Callable[[], float] = random.random,
) -> list[date]:
    """Drop the partitions of all days before `first_kept`, oldest first, and what the default partition has of them.

    Args:
        table: Partitioned by day.
        first_kept: The first UTC day to keep.
        spared: Days to keep though they are older.

    Returns:
        The days that are gone now; those that were not free in time are left for the next round.
    """
    dropped: list[date] = []
    attempt = 0
    while attempt < TRIES:
        try:
            async with database.connection() as connection:
                day: date | None = await _queries.fetch_value(
                    connection,
                    "drop_oldest_day",
                    table=table,
                    first_kept=first_kept,
                    spared=list(spared),
                    patience_seconds=PATIENCE_SECONDS,
                )
        except Unavailable:
            await sleep(_BACKOFF.delay_seconds(attempt, rand=rand))
            attempt += 1
            continue
        if day is None:
            break
        attempt = 0
        dropped.append(day)
    await _delete_strays(database, table, first_kept=first_kept, spared=spared)
    return dropped


async def _delete_strays(database: Database, table: str, *, first_kept: date, spared: Sequence[date]) -> None:
    deleted = STRAY_LIMIT
    while deleted == STRAY_LIMIT:
        async with database.connection() as connection:
            deleted = await _queries.fetch_value(
                connection,
                "delete_stray_rows",
                table=table,
                first_kept=first_kept,
                spared=list(spared),
                limit=STRAY_LIMIT,
            )
