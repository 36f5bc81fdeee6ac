"""Events: what happened to objects, told by controllers and executors for people who look.

The same event again within ten minutes raises `count` in place of a new row. They age: days are retired whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from aspora.db.pool import Connection, Database, Row
from aspora.db.queries import Queries
from aspora.meta.errors import API_VERSION
from aspora.meta.objects import rfc3339
from aspora.records.jsontext import encode_leniently
from aspora.records.rows import Cursor

_queries = Queries.load("aspora.records", "happenings.sql")

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened to an object.

    Attributes:
        domain: The object's; "" for a cluster-wide one.
        kind: The object's.
        uid: "" when not known.
        reason: CamelCase, machine-readable.
        message: For people; the same for each repetition, or repetitions are not recognized.
        controller: Who tells.
        count: How often it happened.
    """

    domain: str
    kind: str
    name: str
    uid: str = ""
    type: EventType
    reason: str
    message: str
    controller: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HappeningFilter:
    """Which events; None for no limit.

    Attributes:
        domains: Only there; "" is the cluster.
        kind: Of the object.
        name: Of the object.
        uid: Of the object.
    """

    domains: tuple[str, ...] | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    type: str | None = None
    reason: str | None = None
    controller: str | None = None

    def parameters(self) -> dict[str, Any]:
        """As the queries want it."""
        return {**asdict(self), "domains": None if self.domains is None else list(self.domains)}


@dataclass(frozen=True, slots=True)
class HappeningPage:
    """Some events (of a list: latest first), and where a tail goes on from."""

    rows: Sequence[Row]
    place: Cursor


class Happenings:
    """All that is done to rows of `events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, happening: Happening) -> Row:
        """Keep it, or count it on the row that it repeats; the row."""
        async with self._database.connection() as connection:
            return await record(connection, happening)

    async def page(
        self, wanted: HappeningFilter, *, limit: int, before: tuple[datetime, int] | None = None
    ) -> HappeningPage:
        """A page, latest first.

        Args:
            wanted: Which.
            limit: At most so many.
            before: Continue after the row of this `last_at` and id.
        """
        before_at, before_id = before or (None, None)
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection, "list_rows", **wanted.parameters(), before=before_at, before_id=before_id, limit=limit
            )
        return HappeningPage([row for row in rows if row["id"] is not None], Cursor(rows[0]["place"], 0))

    async def tail(self, wanted: HappeningFilter, *, after: Cursor, limit: int) -> HappeningPage:
        """Rows by their latest change; called again from the page's place, no change is missed but for a later one.

        The place lies behind what the filter dropped too, so that nobody reads that again.
        """
        async with self._database.connection() as connection:
            found = await _queries.fetch_all(
                connection, "tail_rows", **wanted.parameters(), after_xid=after.xid, after_seq=after.id, limit=limit
            )
        rows = [row for row in found if row["id"] is not None]
        if len(rows) == limit:
            return HappeningPage(rows, cursor_of(rows[-1]))
        # A cursor's transaction may be one that was still open: then it stays ahead of the place.
        return HappeningPage(rows, max(after, Cursor(found[0]["place"], 0), key=lambda c: (c.xid, c.id)))

    async def place(self) -> tuple[Cursor, int]:
        """Where a tail that begins now begins, and the highest transaction there has been."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "read_place")
        assert row is not None
        return Cursor(row["place"], 0), row["newest"]


async def record(connection: Connection, happening: Happening) -> Row:
    """As `Happenings.record`, in a transaction of the caller's."""
    row = await _queries.fetch_one(connection, "record", event=encode_leniently(asdict(happening)))
    assert row is not None
    return row


def cursor_of(row: Mapping[str, Any]) -> Cursor:
    """The place after a row's latest change."""
    return Cursor(row["changed_in"], row["seq"])


def happening_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event in its wire form."""
    name = f"{row['regarding_name'][:40]}.{row['id']:x}"
    metadata: dict[str, Any] = {"name": name, "creationTimestamp": rfc3339(row["first_at"])}
    regarding = {"kind": row["regarding_kind"], "name": row["regarding_name"]}
    if row["domain"]:
        metadata["domain"] = regarding["domain"] = row["domain"]
    if row["regarding_uid"]:
        regarding["uid"] = row["regarding_uid"]
    if row.get("changed_in") is not None:
        metadata["resourceVersion"] = version_of(cursor_of(row))
    return {
        "apiVersion": API_VERSION,
        "kind": "Event",
        "metadata": metadata,
        "regarding": regarding,
        "reason": row["reason"],
        "message": row["message"],
        "type": row["type"],
        "reportingController": row["controller"],
        "count": row["count"],
        "firstTimestamp": rfc3339(row["first_at"]),
        "lastTimestamp": rfc3339(row["last_at"]),
    }


def version_of(cursor: Cursor) -> str:
    """A cursor as the resource version of a list or an event."""
    return f"{cursor.xid}-{cursor.id}"
