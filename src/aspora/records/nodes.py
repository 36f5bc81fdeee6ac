"""Nodes and their leases: who is alive, by the database's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.meta.errors import NotFound
from aspora.meta.names import NodeId
from aspora.meta.objects import rfc3339
from aspora.records.rows import Owner
from aspora.records.state import ExecutionClass

_queries = Queries.load("aspora.records", "nodes.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node says of itself."""

    id: NodeId
    role: str
    host: str
    pid: int
    version: str


class Nodes:
    """All that is done to rows of `nodes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, facts: NodeFacts, *, ttl_seconds: float) -> Owner:
        """Enter a new node, alive for `ttl_seconds`; its epoch is greater than that of every node before."""
        async with self._database.connection() as connection:
            epoch = await _queries.fetch_value(
                connection,
                "register_node",
                id=facts.id,
                role=facts.role,
                host=facts.host,
                pid=facts.pid,
                version=facts.version,
                ttl_seconds=ttl_seconds,
            )
        return Owner(facts.id, epoch)

    async def renew(self, owner: Owner, *, ttl_seconds: float, classes: Sequence[ExecutionClass]) -> datetime | None:
        """Stay alive for another `ttl_seconds` and say which classes are taken.

        Returns:
            The database's instant from which on the time counts; None when the lease has run out.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "renew_node",
                id=owner.node,
                epoch=owner.epoch,
                ttl_seconds=ttl_seconds,
                classes=list(classes),
            )
        return None if row is None else row["renewed_at"]

    async def now(self) -> datetime:
        """The database's present instant: the only wall time that all processes share."""
        async with self._database.connection() as connection:
            return await _queries.fetch_value(connection, "present_instant")

    async def stop(self, owner: Owner) -> None:
        """Say that the node ends now, so that nobody waits for its lease to run out."""
        async with self._database.connection() as connection:
            await _queries.execute(connection, "stop_node", id=owner.node, epoch=owner.epoch)

    async def live(self) -> set[NodeId]:
        """Nodes whose lease holds."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "live_nodes")
        return {NodeId(row["id"]) for row in rows}

    async def serves(self, execution_class: ExecutionClass) -> bool:
        """Whether any live node takes executions of that class."""
        async with self._database.connection() as connection:
            return bool(await _queries.fetch_value(connection, "live_with_class", **{"class": execution_class}))

    async def page(self, *, limit: int = 500) -> list[Row]:
        """Nodes alive or ended within the last day, newest first."""
        async with self._database.connection() as connection:
            return await _queries.fetch_all(connection, "list_nodes", limit=limit)

    async def get(self, node: str) -> Row:
        """One node.

        Raises:
            NotFound: No such node.
        """
        row = None
        if "\x00" not in node:  # which no text in the database can hold
            async with self._database.connection() as connection:
                row = await _queries.fetch_one(connection, "get_node", id=node)
        if row is None:
            raise NotFound(f"node {node[:80]!r} not found; 'aspora get nodes' lists them")
        return row

    async def forget_dead(self) -> int:
        """Delete nodes that ended a week ago and own nothing."""
        async with self._database.connection() as connection:
            return await _queries.execute(connection, "forget_dead_nodes")


def node_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """A node's row in its wire form."""
    state = "Alive" if row["alive"] else "Stopped" if row["stopped_at"] else "Lost"
    status = {"state": state, "epoch": row["epoch"], "classes": row["classes"]}
    status["leaseExpiresAt"] = rfc3339(row["lease_expires_at"])
    if row["stopped_at"]:
        status["stoppedAt"] = rfc3339(row["stopped_at"])
    return {
        "apiVersion": "aspora.dev/v1",
        "kind": "Node",
        "metadata": {"name": row["id"], "creationTimestamp": rfc3339(row["started_at"])},
        "spec": {k: row[k] for k in ("role", "host", "pid", "version")},
        "status": status,
    }
