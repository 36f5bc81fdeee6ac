"""How long records stay. What is not over is never dropped, nor what hangs on it, however old."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.db.retention import Retained, drop_days

RETAINED: Final = (
    Retained(table="execution_events", goes_by_execution=True),
    Retained(table="model_calls", goes_by_execution=True),
    Retained(table="effects", goes_by_execution=True),
    Retained(table="execution_steps", goes_by_execution=True),
    Retained(table="events"),
    Retained(table="executions", goes_by_execution=True),
)
"""The record tables that are partitioned by day: one line each. Executions come last, since the others hang on them."""

DEFAULT_DAYS: Final = 90
_queries = Queries.load("aspora.records", "retention.sql")


async def present_day(connection: Connection) -> date:
    """The UTC day by the database's clock: a process whose own is years ahead must drop nothing by it."""
    day: date = await _queries.fetch_value(connection, "present_day")
    return day


async def retain(
    database: Database, *, keep_days: int, today: date, tables: Sequence[Retained] = RETAINED
) -> dict[str, list[date]]:
    """Drop the days that are older than wanted; safe to run by several processes at once.

    Args:
        keep_days: Whole UTC days before today whose records stay.
        today: The present UTC day, by the database.
        tables: Which; other packages bring their own.

    Returns:
        By table, the days that went.
    """
    first_kept = today - timedelta(days=keep_days)
    async with database.connection() as connection:
        rows = await _queries.fetch_all(connection, "unfinished_days", first_kept=first_kept)
    unfinished: list[date] = [row["day"] for row in rows]
    dropped: dict[str, list[date]] = {}
    for table in tables:
        days = max(keep_days, table.min_days)
        spared = unfinished if table.goes_by_execution else []
        dropped[table.table] = await drop_days(
            database, table.table, first_kept=today - timedelta(days=days), spared=spared
        )
    return dropped
