"""What a restored ledger must forget: the processes that held budgets in a history that is lost."""

from collections.abc import Mapping

from aspora.db.pool import Connection
from aspora.db.queries import Queries

EPOCHS = "ledger_epochs"

_queries = Queries.load("aspora.ledger", "ledger.sql")


async def end_restored_leases(connection: Connection, former: Mapping[str, int]) -> str:
    """End all holders of the backup: their open calls are in doubt. No epoch is given out twice; safe to run twice.

    Args:
        former: Last values of sequences in the database that was replaced.
    """
    row = await _queries.fetch_one(connection, "end_holders")
    await _queries.execute(connection, "jump_epochs", former=former.get(EPOCHS, 0))
    if row is None or not row["holders"]:
        return ""
    return f"{row['doubted']} model calls were under way and are charged in full, in doubt, until they are reconciled"
