"""What grows by the day is cut by the day, whoever owns it."""

from typing import Any

from aspora.db.pool import Database
from aspora.main.gateway_process import _maintenance
from aspora.main.settings import Settings

PARTITIONED = "select relname from pg_class where relkind = 'p' order by relname"


async def test_every_table_of_days_is_made_ahead_and_cut(database: Database) -> None:
    loops: Any = _maintenance(Settings(), database)
    async with database.connection() as connection:
        tables = {row["relname"] for row in await (await connection.execute(PARTITIONED)).fetchall()}
    cut = {kept.table for kept in loops["record-partitions"].keywords["retained"]}
    assert tables == cut | {"object_events"}, "which the store cuts itself"
    assert {"record-partitions", "ledger", "audit-partitions", "object-partitions"} <= loops.keys()
