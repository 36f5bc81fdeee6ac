"""Numbered SQL migrations: each applied once, in order, in its own transaction, whoever comes first.

Files are `migrations/NNNN_slug.sql`. What was applied is kept with a checksum in `schema_migrations`; a file that was
edited, vanished or is unknown to this version of the code stops everything before anything is changed.

A file may begin with `-- compatible-with: NNNN`: code that knows migrations up to NNNN works on the schema after it.
Such code starts on a newer database, so that processes of two releases can run side by side during an upgrade.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from aspora.db.advisory_keys import MIGRATIONS
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict, Internal

_FILE_NAME = re.compile(r"(?P<number>\d{4})_(?P<slug>[a-z0-9_]+)\.sql\Z")
_COMPATIBLE = re.compile(r"--\s*compatible-with:\s*(?P<number>\d{4})\s*\n")
_queries = Queries.load("aspora.db", "migrate.sql")


class MigrationRefused(Conflict):
    """The database and the code disagree about the past; nothing was changed."""


class MigrationFailed(Internal):
    """A migration's SQL failed; it was rolled back as a whole."""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    """One numbered file.

    Attributes:
        checksum: SHA-256 of the text, line ends counted as LF, in hex.
        compatible_with: Code that knows migrations up to this number works after it; None when no older code does.
    """

    number: int
    slug: str
    sql: str = field(repr=False)
    checksum: str
    compatible_with: int | None = None

    @property
    def name(self) -> str:
        """`0001_objects`."""
        return f"{self.number:04d}_{self.slug}"


def load_migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """All migrations of a folder by number; without one, Aspora's own.

    Raises:
        MigrationRefused: A `.sql` file has a bad name, or two share a number.
    """
    found: dict[int, Migration] = {}
    for entry in (folder or files("aspora.db") / "migrations").iterdir():
        if not entry.name.endswith(".sql"):
            continue
        migration = _read(entry)
        other = found.setdefault(migration.number, migration)
        if other is not migration:
            raise MigrationRefused(f"migrations {other.name!r} and {migration.name!r} share a number; renumber one")
    return tuple(sorted(found.values()))


def _read(entry: Traversable) -> Migration:
    match = _FILE_NAME.match(entry.name)
    if not match:
        raise MigrationRefused(f"{entry.name!r} is not the name of a migration; write it like '0007_add_index.sql'")
    sql = entry.read_text("utf-8").replace("\r\n", "\n")
    checksum = hashlib.sha256(sql.encode()).hexdigest()
    said = _COMPATIBLE.match(sql)
    return Migration(
        number=int(match["number"]),
        slug=match["slug"],
        sql=sql,
        checksum=checksum,
        compatible_with=int(said["number"]) if said else None,
    )


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that a database has; see `Migration`."""

    number: int
    slug: str
    checksum: str
    compatible_with: int | None

    @property
    def name(self) -> str:
        """`0001_objects`."""
        return f"{self.number:04d}_{self.slug}"


async def migrate(database: Database, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring the database up to date; returns what was applied now, in order.

    Safe to call from many processes at once: one applies, the others wait and find nothing to do.

    Raises:
        MigrationRefused: An applied migration was edited or is missing, or the database is newer than this code.
        MigrationFailed: A migration's SQL failed; those before it stay applied.
        Unavailable: The server can't be reached.
    """
    wanted = load_migrations() if migrations is None else tuple(sorted(migrations))
    applied: list[Migration] = []
    while True:
        async with database.transaction() as connection:
            step = await _apply_next(connection, wanted)
        if step is None:
            return applied
        applied.append(step)


async def pending(database: Database, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """What `migrate` would apply, without changing anything; raises what it would refuse."""
    wanted = load_migrations() if migrations is None else tuple(sorted(migrations))
    async with database.connection() as connection:
        return _plan(wanted, await applied_migrations(connection))


async def applied_migrations(connection: Connection) -> list[Applied]:
    """What the database has, by number; empty when it holds no Aspora."""
    if not await _queries.fetch_value(connection, "table_exists"):
        return []
    return await _list_applied(connection)


async def migrate_within(connection: Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """As `migrate`, all of it inside the caller's transaction; returns what was applied, in order."""
    wanted = tuple(sorted(migrations))
    applied: list[Migration] = []
    while (step := await _apply_next(connection, wanted)) is not None:
        applied.append(step)
    return applied


async def _apply_next(connection: Connection, wanted: Sequence[Migration]) -> Migration | None:
    await _queries.execute(connection, "wait_without_limit")
    await _queries.execute(connection, "lock", key=MIGRATIONS)
    await _queries.execute(connection, "create_table")
    todo = _plan(wanted, await _list_applied(connection))
    if not todo:
        return None
    step = todo[0]
    try:
        await connection.execute(step.sql.encode())
    except psycopg.Error as error:
        reason = error.diag.message_primary or "the database does not say why"
        raise MigrationFailed(
            f"migration {step.name!r} failed and was rolled back ({reason});"
            " the database is as it was before; use the former Aspora and report this"
        ) from error
    await _queries.execute(
        connection,
        "record_applied",
        number=step.number,
        slug=step.slug,
        checksum=step.checksum,
        compatible_with=step.compatible_with,
    )
    return step


async def _list_applied(connection: Connection) -> list[Applied]:
    return [Applied(**row) for row in await _queries.fetch_all(connection, "list_applied")]


def _require_same(known: Migration | None, applied: Applied, *, newest: int) -> None:
    """An applied migration is the one we know, or a later one that lets this code go on."""
    if known is None and applied.number > newest:
        if applied.compatible_with is not None and applied.compatible_with <= newest:
            return
        raise MigrationRefused(
            f"the database has migration {applied.name!r}, newer than this Aspora knows and not made for it;"
            " upgrade Aspora or restore a backup"
        )
    if known is None:
        raise MigrationRefused(f"migration {applied.name!r} was applied but its file is missing; put it back")
    if known.checksum != applied.checksum:
        raise MigrationRefused(
            f"migration {applied.name!r} was edited after it was applied; restore it and add a new migration instead"
        )


def _plan(wanted: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """What is left to do, after checking that the past agrees."""
    by_number = {migration.number: migration for migration in wanted}
    newest = max(by_number, default=-1)
    for past in applied:
        _require_same(by_number.get(past.number), past, newest=newest)
    numbers = {past.number for past in applied}
    todo = [migration for migration in wanted if migration.number not in numbers]
    latest = max(numbers, default=-1)
    if todo and todo[0].number < latest:
        raise MigrationRefused(
            f"migration {todo[0].name!r} comes before {latest:04d}, which is applied already; give it a higher number"
        )
    return todo


async def ensure_partitions(connection: Connection, table: str, days_ahead: int, *, today: date | None = None) -> int:
    """Make a day-partitioned table's partitions for today and `days_ahead` more days; returns how many were made.

    Args:
        table: The parent, by schema if not on the search path.
        today: The first day; None takes the database's present UTC day.

    Raises:
        Unavailable: Left by `Database.connection` when a lock was not free within 5 s; try again later.
    """
    made: int = await _queries.fetch_value(
        connection, "ensure_day_partitions", parent=table, today=today, days=days_ahead + 1
    )
    return made
