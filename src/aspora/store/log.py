"""Reads the event log: pieces of history, each from one snapshot that also says where history stands."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.meta.errors import Expired, Internal
from aspora.store.forms import Forms, OneForm, read_form
from aspora.store.selection import Change

MAX_VERSION = 2**63 - 1

_queries = Queries.load("aspora.store", "objects.sql")


@dataclass(frozen=True, slots=True)
class Position:
    """Where history stood in one snapshot.

    Attributes:
        newest: The highest version.
        compacted: Events up to this version are gone.
        server: Names this run of the server and this copy of the database.
    """

    newest: int
    compacted: int
    server: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Changes in order, and the position of the snapshot they were read from."""

    position: Position
    changes: tuple[Change, ...]


class EventLog(Protocol):
    """What a watch needs of the log."""

    async def position(self, since: int) -> Position:
        """Where history stands.

        Raises:
            Expired: `since` is not a place in it.
            Unavailable: The database can't be reached.
        """
        ...

    async def read(self, kinds: Sequence[str], *, after: int, upto: int, limit: int) -> Piece:
        """The first `limit` changes of some kinds with `after < version <= upto`.

        Raises:
            Unavailable: The database can't be reached.
        """
        ...


class PostgresLog:
    """The log in the database."""

    def __init__(self, database: Database, forms: Forms | None = None) -> None:
        self._database = database
        self._forms = forms or OneForm()

    async def position(self, since: int) -> Position:
        """Where history stands."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "read_position", since=since)
        if row is None:
            raise Internal("the database has no object history any more; restore it from a backup")
        place = _position(row)
        if since < place.compacted:
            raise expired(since, f"lies before the kept history, which begins at {str(place.compacted)!r}")
        if since > place.newest or row["is_lost"]:
            raise expired(since, "belongs to a history that this database does not have")
        return place

    async def read(self, kinds: Sequence[str], *, after: int, upto: int, limit: int) -> Piece:
        """The first `limit` changes of some kinds with `after < version <= upto`."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection, "read_changes", kinds=list(kinds), after=after, upto=upto, limit=limit
            )
        changes = tuple(self._change(row) for row in rows if row["resource_version"] is not None)
        return Piece(_position(rows[0]), changes)

    def _change(self, row: Row) -> Change:
        text: str = row["object"]
        previous: str | None = row["previous"]
        return Change(
            version=row["resource_version"],
            kind=row["kind"],
            domain=row["domain"],
            type=row["type"],
            object=read_form(self._forms, row["kind"], json.loads(text)),
            previous=None if previous is None else read_form(self._forms, row["kind"], json.loads(previous)),
            size_bytes=len(text),
        )


def expired(since: int, why: str) -> Expired:
    """The error of a reader whose place in history is not one any more."""
    return Expired(f"resource version {str(since)!r} {why}; list again and watch from there")


def _position(row: Row) -> Position:
    return Position(row["newest"], row["compacted"], row["server"])
