"""Write a backup: one read-only transaction sees every table as of one instant, while others go on writing."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from aspora.backup.archive import ArchiveWriter, new_file
from aspora.backup.interface import HEAD, SECRET_KEY, Blobs, Head, ListDigests, Table, Tell
from aspora.db.migrate import applied_migrations
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict, Invalid, NotFound
from aspora.meta.objects import rfc3339

PART_BYTES = 8 * 1024 * 1024
_MIGRATIONS_TABLE = "schema_migrations"
_LOCK_ATTEMPTS = 5

_queries = Queries.load("aspora.backup", "catalog.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a backup is made of.

    Attributes:
        artifacts: Where they lie.
        list_digests: One for each owner of rows that refer to artifacts.
        key_id: Of the key that secrets are sealed with; "" for none.
        secret_key: The key file's text, to be put into the backup; None leaves it out.
        aspora: This version.
    """

    artifacts: Blobs
    list_digests: Sequence[ListDigests]
    key_id: str
    secret_key: str | None
    aspora: str


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written.

    Attributes:
        missing: Artifacts that rows refer to and that are not there, or damaged, by digest.
    """

    head: Head
    artifacts: int
    missing: tuple[str, ...]


async def write_backup(path: Path, database: Database, sources: Sources, *, tell: Tell, plan: "Plan") -> Made:
    """Write the file; it has its name only when it is whole.

    Args:
        tell: Told each finished part.
        plan: Told how many parts there will be.

    Raises:
        Unavailable: The file can't be written, or the database can't be read.
        Conflict: The schema keeps changing: a migration runs.
        NotFound: The database holds no Aspora.
    """
    with new_file(path) as file:
        writer = ArchiveWriter(file)
        async with database.connection() as connection:
            head, digests = await _write_tables(connection, writer, sources, tell=tell, plan=plan)
        # Artifacts never change under their digest: they need no snapshot, and the transaction has ended by now.
        missing: list[str] = []
        for digest in sorted(digests):
            try:
                writer.add(f"artifacts/{digest.removeprefix('sha256:')}", await sources.artifacts.get(digest))
            except (NotFound, Invalid):
                missing.append(digest)
            tell(digest[:19])
        if sources.secret_key is not None:
            writer.add(SECRET_KEY, sources.secret_key.encode())
        writer.finish({"missingArtifacts": missing})
    return Made(head, len(digests) - len(missing), tuple(missing))


class Plan(Protocol):
    """How many parts there will be; set before the first one is finished."""

    total: int


async def _write_tables(
    connection: Connection, writer: ArchiveWriter, sources: Sources, *, tell: Tell, plan: Plan
) -> tuple[Head, set[str]]:
    tables = await _begin_snapshot(connection)
    try:
        head = await _head(connection, tables, sources)
        digests: set[str] = set()
        for list_digests in sources.list_digests:
            digests |= await list_digests(connection)
        plan.total = len(tables) + len(digests)
        writer.add(HEAD, json.dumps(head.to_json(), indent=1).encode())
        for table in tables:
            await _write_table(connection, writer, table)
            tell(table.name)
    finally:
        if not connection.closed:
            await connection.execute("rollback")
    return head, digests


async def _begin_snapshot(connection: Connection) -> tuple[Table, ...]:
    """Lock the tables against being dropped or altered, then take the snapshot; answers what is in it.

    The locks come first: a partition that went away between the two would leave a hole in the snapshot.
    """
    for _ in range(_LOCK_ATTEMPTS):
        before = await list_tables(connection)
        if not any(table.name == _MIGRATIONS_TABLE for table in before):
            raise NotFound(
                "the database holds no Aspora; there is nothing to back up; "
                "name the right one with --data-dir or ASPORA_DATABASE_URL"
            )
        await connection.execute("begin isolation level repeatable read, read only")
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        names = sql.SQL(", ").join(sql.Identifier(table.name) for table in before)
        try:
            await connection.execute(sql.SQL("lock table {} in access share mode").format(names))
            found = await list_tables(connection)
        except psycopg.errors.UndefinedTable:
            found = ()
        if {t.name for t in found} == {t.name for t in before}:
            return _in_loading_order([t for t in found if t.name != _MIGRATIONS_TABLE])
        await connection.execute("rollback")
    raise Conflict("the database's tables keep changing: a migration is running; try again when it has ended")


async def list_tables(connection: Connection) -> tuple[Table, ...]:
    """All tables that a backup holds, and the one of migrations."""
    return tuple(
        Table(
            row["name"],
            tuple((column["name"], column["type"]) for column in row["columns"] or ()),
            tuple(row["days"]),
            tuple(row["needs"]),
        )
        for row in await _queries.fetch_all(connection, "list_tables")
    )


def _in_loading_order(tables: Sequence[Table]) -> tuple[Table, ...]:
    by_name = {table.name: table for table in tables}
    order = TopologicalSorter({table.name: set(table.needs) & by_name.keys() for table in tables})
    return tuple(by_name[name] for name in order.static_order())


async def _head(connection: Connection, tables: tuple[Table, ...], sources: Sources) -> Head:
    facts = await _queries.fetch_one(connection, "server_facts") or {}
    return Head(
        made_at=rfc3339(facts["at"]),
        aspora=sources.aspora,
        server=str(facts["version"]),
        migrations=tuple((m.number, m.slug, m.checksum) for m in await applied_migrations(connection)),
        tables=tables,
        sequences={r["name"]: r["last_value"] for r in await _queries.fetch_all(connection, "list_sequences")},
        key_id=sources.key_id,
    )


async def _write_table(connection: Connection, writer: ArchiveWriter, table: Table) -> None:
    """The rows in parts of some megabytes: no more of them is ever in memory."""
    command = sql.SQL("copy (select {} from {}) to stdout").format(
        sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns), sql.Identifier(table.name)
    )
    number, waiting = 0, bytearray()

    def flush() -> None:
        nonlocal number
        packed = gzip.compress(bytes(waiting), compresslevel=1, mtime=0)
        writer.add(f"tables/{table.name}/{number:08d}.copy.gz", packed)
        number += 1
        waiting.clear()

    async with connection.cursor() as cursor, cursor.copy(command) as copy:
        async for data in copy:
            waiting += data
            if len(waiting) >= PART_BYTES:
                flush()
    if waiting:
        flush()
