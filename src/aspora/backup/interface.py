"""What a backup file is, and the ports by which a backup learns what only the owners of tables know.

The file is a plain tar. Its members, in this order:

- `backup.json`: the head: format, versions, the tables with their columns, the sequences.
- `tables/<table>/<number>.copy.gz`: the rows in PostgreSQL's COPY text format, cut anywhere; the parts joined are the
  whole table.
- `artifacts/<hex digest>`: one artifact each.
- `secret.key`: only when that was asked for.
- `manifest.json`: SHA-256 and size of every member before it. A file without one at its end is not whole.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aspora.db.pool import Connection
from aspora.meta.errors import Invalid

FORMAT = 1
HEAD = "backup.json"
MANIFEST = "manifest.json"
SECRET_KEY = "secret.key"
MEMBER = re.compile(
    r"backup\.json|manifest\.json|secret\.key|tables/[a-z_][a-z0-9_]*/\d{8}\.copy\.gz|artifacts/[0-9a-f]{64}"
)
MAX_MEMBER_BYTES = 512 * 1024 * 1024


class BackupDamaged(Invalid):
    """The file is not a whole backup as Aspora writes them; nothing was done with it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was backed up.

    Attributes:
        columns: (name, type) in their order.
        days: The day partitions it had, as YYYYMMDD.
        needs: Tables that it refers to; they are loaded first.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    days: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What a backup says of itself.

    Attributes:
        made_at: RFC 3339, by the database's clock: the instant of its snapshot.
        aspora: Version of the Aspora that made it.
        server: Version of the PostgreSQL it came from.
        migrations: (number, slug, checksum) of the schema.
        tables: In the order in which they can be loaded.
        sequences: Name → last value.
        key_id: Of the key that its secrets are sealed with; "" when it has none.
    """

    made_at: str
    aspora: str
    server: str
    migrations: tuple[tuple[int, str, str], ...]
    tables: tuple[Table, ...]
    sequences: dict[str, int]
    key_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `backup.json` holds it."""
        return {
            "format": FORMAT,
            "madeAt": self.made_at,
            "aspora": self.aspora,
            "server": self.server,
            "migrations": [list(m) for m in self.migrations],
            "tables": [
                {"name": t.name, "columns": [list(c) for c in t.columns], "days": list(t.days), "needs": list(t.needs)}
                for t in self.tables
            ],
            "sequences": self.sequences,
            "keyId": self.key_id,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Head":
        """Read it back.

        Raises:
            BackupDamaged: Not a head, or of a format that this Aspora does not know.
        """
        if data.get("format") != FORMAT:
            raise BackupDamaged(
                f"the backup has format {data.get('format')!r} and this Aspora reads {FORMAT}; use the one that made it"
            )
        try:
            return cls(
                made_at=data["madeAt"],
                aspora=data["aspora"],
                server=data["server"],
                migrations=tuple((int(n), str(slug), str(sum_)) for n, slug, sum_ in data["migrations"]),
                tables=tuple(
                    Table(
                        t["name"],
                        tuple((str(c), str(type_)) for c, type_ in t["columns"]),
                        tuple(t["days"]),
                        tuple(t["needs"]),
                    )
                    for t in data["tables"]
                ),
                sequences={str(k): int(v) for k, v in data["sequences"].items()},
                key_id=data.get("keyId", ""),
            )
        except (KeyError, TypeError, ValueError):
            raise BackupDamaged(f"the backup's head {HEAD!r} can't be read; use another backup") from None


class Blobs(Protocol):
    """Where artifacts lie (an `ArtifactStore` is one)."""

    async def get(self, digest: str) -> bytes:
        """The bytes, checked; see `ArtifactStore.get`."""
        ...

    async def put(self, data: bytes) -> str:
        """Keep the bytes; see `ArtifactStore.put`."""
        ...


ListDigests = Callable[[Connection], Awaitable[set[str]]]
"""The digests of all artifacts that rows of an owner's tables refer to, in the connection's snapshot."""

AfterLoad = Callable[[Connection, dict[str, int]], Awaitable[str]]
"""What an owner does to its rows once they are back, in the restore's transaction.

It gets the last values of the sequences before the restore (empty for an empty database) and answers one line for
people, "" when there is nothing to say.
"""

Tell = Callable[[str], None]
"""Told each finished part, for a progress bar."""
