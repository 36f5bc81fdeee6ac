"""The events of an execution: append in batches, read, tail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.meta.objects import rfc3339
from aspora.records.ids import day_of
from aspora.records.jsontext import encode_leniently
from aspora.records.rows import START, Claim, Cursor, ExecutionEvent, Owner, StoredEvent

_queries = Queries.load("aspora.records", "events.sql")
FINISHED = "Finished"
TAKEOVERS = ("Requeued", "Recovered")
"""What is told when a node gave up or lost an execution: waiting again, or taken over at once."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """An event and the attempt it happened in."""

    claim: Claim
    event: ExecutionEvent


class Events:
    """All that is done to rows of `execution_events`, but for those written with a change of state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, owner: Owner, events: Sequence[Addressed]) -> int:
        """Keep events of a node's attempts, in the order given, in one statement; those of fenced attempts are dropped.

        Returns:
            How many were kept.
        """
        if not events:
            return 0
        text = encode_leniently(
            [
                {
                    "execution_id": e.claim.id,
                    "day": e.claim.day.isoformat(),
                    "attempt": e.claim.attempt,
                    "at": e.event.at.isoformat(),
                    "type": e.event.type,
                    "data": e.event.data,
                }
                for e in events
            ]
        )
        async with self._database.connection() as connection:
            return await _queries.execute(connection, "append_events", events=text, node=owner.node, epoch=owner.epoch)

    async def of_types(self, execution: str, types: Sequence[str], *, limit: int = 100) -> list[StoredEvent]:
        """Events of these types alone, by (transaction, row)."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection, "events_of_types", id=execution, day=day_of(execution), types=list(types), limit=limit
            )
        return [_stored(row) for row in rows]

    async def read(self, execution: str, *, after: Cursor = START, limit: int = 1000) -> list[StoredEvent]:
        """Events that are there now, by (transaction, row)."""
        return await self._read("list_events", execution, after, limit)

    async def tail(self, execution: str, *, after: Cursor = START, limit: int = 1000) -> list[StoredEvent]:
        """Events that no other can come before any more: called again from the last cursor, none is missed."""
        return await self._read("tail_events", execution, after, limit)

    async def _read(self, query: str, execution: str, after: Cursor, limit: int) -> list[StoredEvent]:
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection,
                query,
                id=execution,
                day=day_of(execution),
                after_xid=after.xid,
                after_id=after.id,
                limit=limit,
            )
        return [_stored(row) for row in rows]


def _stored(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(Cursor(row["xid"], row["id"]), row["attempt"], row["at"], row["type"], row["data"])


def event_wire(event: StoredEvent) -> dict[str, Any]:
    """An event in its wire form."""
    return {"at": rfc3339(event.at), "type": event.type, "attempt": event.attempt, "data": event.data}
