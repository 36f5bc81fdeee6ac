"""What a backup must know of the objects: the artifacts they name, and how their history goes on after a restore."""

from collections.abc import Mapping

from aspora.db.pool import Connection
from aspora.db.queries import Queries

VERSIONS = "object_versions"
"""The sequence that versions come from."""

_queries = Queries.load("aspora.store", "objects.sql")


async def artifact_digests(connection: Connection) -> set[str]:
    """Digests of all artifacts that objects name, in the connection's snapshot."""
    return {row["digest"] for row in await _queries.fetch_all(connection, "artifact_digests")}


async def begin_restored_history(connection: Connection, former: Mapping[str, int]) -> str:
    """Jump over every version that may have been given out since the backup: watchers from then get `Expired`.

    Args:
        former: Last values of sequences in the database that was replaced.
    """
    version = await _queries.fetch_value(connection, "begin_restored_history", former_version=former.get(VERSIONS))
    return f"objects go on at version {version}: watches from before the restore begin anew"
