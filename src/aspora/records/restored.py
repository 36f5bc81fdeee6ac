"""What a backup must know of the records: the blobs they name, and how they are settled after a restore.

What ran in the backup's instant ran on in a history that is lost: nobody can tell how far. So nothing of it is run
again by itself: it ends, and a write that had begun stays in doubt.
"""

from collections.abc import Mapping

from aspora.db.pool import Connection
from aspora.db.queries import Queries

EPOCHS = "node_epochs"

_queries = Queries.load("aspora.records", "restored.sql")


async def blob_digests(connection: Connection) -> set[str]:
    """Digests of all inputs and results that were put aside, in the connection's snapshot."""
    return {row["digest"] for row in await _queries.fetch_all(connection, "blob_digests")}


async def settle_restored(connection: Connection, former: Mapping[str, int]) -> str:
    """Fence the nodes and end the executions of the backup; safe to run twice.

    Args:
        former: Last values of sequences in the database that was replaced.
    """
    nodes = await _queries.execute(connection, "stop_nodes")
    await _queries.execute(connection, "jump_node_epochs", former=former.get(EPOCHS, 0))
    effects = await _queries.execute(connection, "doubt_intents")
    executions = await _queries.fetch_value(connection, "end_unfinished")
    if not (nodes or effects or executions):
        return ""
    return (
        f"{executions} executions were not finished and ended as Failed, {effects} effects are in doubt,"
        f" {nodes} nodes are gone"
    )
