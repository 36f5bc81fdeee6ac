"""Put a backup back: all in one transaction, so that whatever interrupts it leaves the database as it was."""

import gzip
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from aspora.backup.archive import Contents, members_of
from aspora.backup.interface import SECRET_KEY, AfterLoad, BackupDamaged, Blobs, Head, Table, Tell
from aspora.backup.snapshot import list_tables
from aspora.db.migrate import Migration, MigrationRefused, migrate_within
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict

_CREATED = re.compile(r"^create (?:or replace )?(?:table|view|sequence|function) ([a-z_][a-z0-9_]*)", re.MULTILINE)
_DROPS = {
    "view": sql.SQL("drop view if exists {} cascade"),
    "table": sql.SQL("drop table if exists {} cascade"),
    "sequence": sql.SQL("drop sequence if exists {} cascade"),
    "function": sql.SQL("drop function if exists {} cascade"),
}

_queries = Queries.load("aspora.backup", "catalog.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a backup goes.

    Attributes:
        migrations: Those that this Aspora knows.
        artifacts: Where they shall lie.
        after_load: What the owners of tables do to their rows, in this order.
        foreign_schemas: Schemas of engines that keep state of their own about what is replaced; they are dropped.
        replaces: Whether a database that holds something may be replaced.
        place: What commands in hints need behind them to mean this installation.
    """

    migrations: Sequence[Migration]
    artifacts: Blobs
    after_load: Sequence[AfterLoad]
    foreign_schemas: Sequence[str] = ()
    replaces: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        remarks: What the owners of tables have to say.
        skipped: Tables in the backup that this Aspora does not have: they were somebody else's.
        migrated: Migrations that came after the backup's.
        secret_key: The key's text, when the backup holds it.
    """

    remarks: tuple[str, ...]
    skipped: tuple[str, ...]
    migrated: tuple[str, ...]
    secret_key: str | None


def require_known_schema(head: Head, migrations: Sequence[Migration]) -> None:
    """The backup's schema is one of this Aspora's own past.

    Raises:
        MigrationRefused: It is newer, or another one.
    """
    known = {m.number: m for m in migrations}
    newest = max(known, default=-1)
    for number, slug, checksum in head.migrations:
        name = f"{number:04d}_{slug}"
        if number > newest:
            raise MigrationRefused(
                f"the backup has schema {name!r} (Aspora {head.aspora}), newer than this Aspora knows; upgrade Aspora,"
                " then restore"
            )
        if number not in known or known[number].checksum != checksum:
            raise MigrationRefused(
                f"the backup's schema {name!r} is not the one of this Aspora; restore it with Aspora {head.aspora}"
            )


async def restore_backup(
    path: Path, contents: Contents, database: Database, destination: Destination, *, tell: Tell
) -> Restored:
    """Load a file that `read_contents` has found whole.

    Raises:
        MigrationRefused: The backup is newer than this Aspora.
        Conflict: The database holds something and may not be replaced, or Asporas are at work on it.
        BackupDamaged: The file changed since it was checked.
        Unavailable: The database went away: nothing was changed.
    """
    head = contents.head
    require_known_schema(head, destination.migrations)
    async with database.transaction() as connection:
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        await connection.execute("set local lock_timeout = '10s'")
        # What was acknowledged must survive a crash, whatever the server's default is.
        await connection.execute("set local synchronous_commit = on")
        former = await _clear(connection, destination)
        then = [m for m in destination.migrations if m.number in {number for number, _, _ in head.migrations}]
        await migrate_within(connection, then)
        skipped, secret_key = await _load(connection, path, contents, destination, tell=tell)
        await _set_sequences(connection, head, former)
        migrated = await migrate_within(connection, destination.migrations)
        remarks = [await step(connection, former) for step in destination.after_load]
    return Restored(tuple(filter(None, remarks)), skipped, tuple(m.name for m in migrated), secret_key)


async def _clear(connection: Connection, destination: Destination) -> dict[str, int]:
    """Take away what a former Aspora left; answers how far its sequences had come."""
    if (count := await _queries.fetch_value(connection, "others_connected")) > 0:
        raise Conflict(
            f"{count} connections of a running Aspora use this database; stop it first, on each machine:"
            f" aspora down{destination.place}"
        )
    own = await _queries.fetch_all(connection, "list_own", names=sorted(_own_names(destination.migrations)))
    if own and not destination.replaces and not await _is_unused(connection):
        raise Conflict(
            "this installation is not empty; restore into another data directory or database, or replace all it holds"
            " with --force"
        )
    former = {r["name"]: r["last_value"] for r in await _queries.fetch_all(connection, "list_sequences")}
    for sort, command in _DROPS.items():
        for row in own:
            if row["sort"] == sort:
                await connection.execute(command.format(sql.SQL(row["identity"])))
    for schema in destination.foreign_schemas:
        await connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    return former


def _own_names(migrations: Sequence[Migration]) -> set[str]:
    """What migrations make; all else in the schema is somebody else's, and is left alone."""
    return {"schema_migrations"}.union(*(_CREATED.findall(m.sql) for m in migrations))


async def _is_unused(connection: Connection) -> bool:
    """Whether the tables are there and hold nothing but what migrations put into them."""
    present = {table.name for table in await list_tables(connection)}
    for name in ("objects", "executions"):
        if name in present:
            command = sql.SQL("select exists (select from {}) as found").format(sql.Identifier(name))
            row = await (await connection.execute(command)).fetchone()
            if row is not None and row["found"]:
                return False
    return True


async def _load(
    connection: Connection, path: Path, contents: Contents, destination: Destination, *, tell: Tell
) -> tuple[tuple[str, ...], str | None]:
    """Go through the file once more: rows into their tables, artifacts into their store."""
    own = _own_names(destination.migrations)
    there = {table.name: table for table in await list_tables(connection) if table.name in own}
    skipped = tuple(table.name for table in contents.head.tables if table.name not in there)
    tables = {table.name: table for table in contents.head.tables if table.name in there}
    await _prepare(connection, list(tables.values()))
    secret_key: str | None = None
    checked = _checked(path, contents)
    for place, members in itertools.groupby(checked, key=lambda member: member[0].rpartition("/")[0]):
        kind, _, table_name = place.partition("/")
        if kind == "tables" and table_name in tables:
            await _load_table(connection, tables[table_name], [name for name, _ in there[table_name].columns], members)
            tell(table_name)
            continue
        for name, data in members:
            if kind == "artifacts":
                await destination.artifacts.put(data)
                tell(name[10:22])
            elif name == SECRET_KEY:
                secret_key = data.decode()
    for table in tables.values():
        await connection.execute(sql.SQL("alter table {} enable trigger user").format(sql.Identifier(table.name)))
    return skipped, secret_key


def _checked(path: Path, contents: Contents) -> Iterator[tuple[str, bytes]]:
    """The members, each once more compared with its digest: the file may have changed since."""
    for name, data in members_of(path):
        if name in contents.digests and hashlib.sha256(data).hexdigest() != contents.digests[name]:
            raise BackupDamaged(f"{str(path)!r} changed while it was read ({name!r}); try again")
        yield name, data


async def _prepare(connection: Connection, tables: Sequence[Table]) -> None:
    """Empty tables (migrations put first rows into some) with the partitions that the rows lived in."""
    if tables:
        names = sql.SQL(", ").join(sql.Identifier(table.name) for table in tables)
        await connection.execute(sql.SQL("truncate {}").format(names))
    for table in tables:
        await connection.execute(sql.SQL("alter table {} disable trigger user").format(sql.Identifier(table.name)))
        for day in table.days:
            await _queries.execute(connection, "ensure_day", table=table.name, day=day)


async def _load_table(
    connection: Connection, table: Table, known: Sequence[str], members: Iterable[tuple[str, bytes]]
) -> None:
    unknown = sorted({name for name, _ in table.columns} - set(known))
    if unknown:
        raise BackupDamaged(
            f"table {table.name!r} of the backup has columns that its schema lacks: {unknown}; use another backup"
        )
    command = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(table.name), sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns)
    )
    async with connection.cursor() as cursor, cursor.copy(command) as copy:
        for _, data in members:
            await copy.write(gzip.decompress(data))


async def _set_sequences(connection: Connection, head: Head, former: dict[str, int]) -> None:
    """No sequence goes back: what it gave out since the backup may be known to somebody."""
    there = {table.name for table in head.tables}
    for name, value in head.sequences.items():
        if name not in there:
            await _queries.execute(connection, "set_sequence", name=name, value=max(value, former.get(name, 0)))
