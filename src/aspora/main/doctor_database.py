"""What `aspora doctor` looks at in the database and beside it: schema, clocks, nodes, artifacts, the secret key.

One small function a check; each gets a look at a database that answers, and says what, which and what would do.
"""

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aspora.artifacts.interface import ArtifactDamaged, ArtifactStore
from aspora.db.attach import attached_dsn
from aspora.db.data_dir import lock_is_held
from aspora.db.migrate import MigrationRefused, pending
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.main.backups import LIST_DIGESTS, open_for_operator
from aspora.main.finding import Finding
from aspora.main.secret_key import key_place
from aspora.main.settings import Settings, place_of
from aspora.main.wiring import artifact_store
from aspora.meta.errors import NotFound, StatusError
from aspora.sealing.check import check_key
from aspora.sealing.key_file import OTHERS, find_key

MAX_SKEW_SECONDS = 2.0
SAMPLED_ARTIFACTS = 20
MAX_SHOWN = 10
MIN_DAYS_AHEAD = 1
LEFTOVER_SECONDS = 3600.0
PRIVATE_FILES = ("admin.key", "secret.key", "postgres.credentials")

_queries = Queries.load("aspora.main", "doctor.sql")


@dataclass(frozen=True, slots=True)
class Look:
    """What a check of the database may use."""

    settings: Settings
    database: Database
    connection: Connection
    artifacts: ArtifactStore


async def _schema(look: Look) -> Finding:
    try:
        todo = await pending(look.database)
    except MigrationRefused as e:
        return Finding(
            "Schema", "fail", e.message, "run the Aspora that fits, or restore a backup into another database"
        )
    if todo:
        names = ", ".join(m.name for m in todo)
        return Finding(
            "Schema",
            "warn",
            f"{len(todo)} migrations are to come: {names}",
            f"aspora up{place_of(look.settings)} applies them",
        )
    return Finding("Schema", "ok", "as new as this Aspora")


async def _durability(look: Look) -> Finding:
    row: dict[str, Any] = await _queries.fetch_one(look.connection, "settings") or {}
    unsafe = [
        f"{name} is {row[name]!r}"
        for name, bad in (("fsync", {"off"}), ("full_page_writes", {"off"}), ("synchronous_commit", {"off", "local"}))
        if row[name] in bad
    ]
    shown = f"PostgreSQL {row['server_version']}"
    if unsafe:
        remedy = "set them to on: with them a crash loses what was acknowledged"
        return Finding("Database", "warn", f"{shown}: {', '.join(unsafe)}", remedy)
    return Finding("Database", "ok", f"{shown}, commits wait for the disk")


async def _clock(look: Look) -> Finding:
    before = datetime.now(UTC)
    there: datetime = await _queries.fetch_value(look.connection, "clock")
    after = datetime.now(UTC)
    skew = (there - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > MAX_SKEW_SECONDS + (after - before).total_seconds():
        return Finding(
            "Clock", "warn", f"the database's clock is {skew:+.1f} s from this machine's", "synchronise both (NTP)"
        )
    return Finding("Clock", "ok", f"{abs(skew) * 1000:.0f} ms from the database's")


async def _partitions(look: Look) -> Finding:
    rows = await _queries.fetch_all(look.connection, "days_ahead")
    short = [f"{row['name']} has {max(row['days'], 0)}" for row in rows if row["days"] < MIN_DAYS_AHEAD]
    if short:
        remedy = "start Aspora: its maintenance makes them hourly; see its log if it runs"
        return Finding("Partitions", "warn", f"days ahead are missing: {', '.join(short)}", remedy)
    return Finding("Partitions", "ok", f"{len(rows)} tables have days ahead")


async def _nodes(look: Look) -> Finding:
    row: dict[str, Any] = await _queries.fetch_one(look.connection, "nodes") or {}
    if row["alive"]:
        return Finding("Nodes", "ok", f"{row['alive']} alive")
    if row["waiting"]:
        return Finding(
            "Nodes",
            "fail",
            f"none is alive and {row['waiting']} executions wait",
            f"start one: aspora up --detach{place_of(look.settings)}",
        )
    return Finding("Nodes", "ok", "none is alive, and nothing waits for one")


async def _artifacts(look: Look) -> Finding:
    """All that rows name must be there; of some the bytes are read and compared with their digest."""
    digests: set[str] = set()
    for list_digests in LIST_DIGESTS:
        digests |= await list_digests(look.connection)
    missing = [d for d in sorted(digests) if not await look.artifacts.exists(d)]
    damaged: list[str] = []
    for digest in sorted(digests.difference(missing))[:SAMPLED_ARTIFACTS]:
        try:
            await look.artifacts.get(digest)
        except ArtifactDamaged:
            damaged.append(digest)
        except NotFound:
            missing.append(digest)
    bad = [f"missing: {d}" for d in missing] + [f"damaged: {d}" for d in damaged]
    if bad:
        more = (f"… and {len(bad) - MAX_SHOWN} more",) if len(bad) > MAX_SHOWN else ()
        return Finding(
            "Artifacts",
            "fail",
            f"{len(missing)} of {len(digests)} are missing, {len(damaged)} damaged",
            "apply their skills again, or restore a backup",
            (*bad[:MAX_SHOWN], *more),
        )
    return Finding(
        "Artifacts", "ok", f"{len(digests)} named, all there; {min(len(digests), SAMPLED_ARTIFACTS)} compared"
    )


async def _secret_key(look: Look) -> Finding:
    settings = look.settings
    state = await check_key(
        look.connection, lambda: find_key(settings.secret_key, settings.secret_key_path), place=key_place(settings)
    )
    if state.fault:
        return Finding("Secret key", "fail", state.message, "restore the key file from your copy")
    if not state.wanted_id:
        return Finding("Secret key", "ok", "none yet; the first start makes one")
    return Finding("Secret key", "ok", f"{state.wanted_id}, the right one; keep a copy of it elsewhere")


CHECKS: tuple[Callable[[Look], Awaitable[Finding]], ...] = (
    _schema,
    _durability,
    _clock,
    _partitions,
    _nodes,
    _artifacts,
    _secret_key,
)


def _dsn(settings: Settings) -> str | None:
    """Where the database answers now; None when it rests."""
    if settings.database_url:
        return settings.database_url
    return attached_dsn(settings.data_dir, uid=os.geteuid()) if lock_is_held(settings.data_dir) else None


async def _examine(settings: Settings, dsn: str) -> list[Finding]:
    found: list[Finding] = []
    async with await open_for_operator(dsn, connections=2) as database, database.connection() as connection:
        look = Look(settings, database, connection, artifact_store(settings))
        if not await _queries.fetch_value(connection, "has_aspora"):
            return [
                Finding(
                    "Database", "warn", "it answers and holds no Aspora yet", f"start it: aspora up{place_of(settings)}"
                )
            ]
        for check in CHECKS:
            name = check.__name__.strip("_").replace("_", " ").capitalize()
            try:
                found.append(await check(look))
            except StatusError as e:
                found.append(Finding(name, "fail", e.message, "see the database above"))
    return found


def examine_database(settings: Settings) -> Iterator[Finding]:
    """Everything that a running database tells; one finding when it rests or can't be reached."""
    try:
        dsn = _dsn(settings)
        if dsn is None:
            yield Finding("Database", "ok", "rests; start Aspora to have it looked at")
            return
        yield from asyncio.run(_examine(settings, dsn))
    except StatusError as e:
        yield Finding("Database", "fail", e.message, "check ASPORA_DATABASE_URL, the server and its log")


def key_files(settings: Settings) -> Finding:
    """Keys are for their owner alone."""
    open_ones: list[str] = []
    found = 0
    for path in (*(settings.data_dir / name for name in PRIVATE_FILES), settings.secret_key_path):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        found += 1
        if mode & OTHERS and str(path) not in open_ones:
            open_ones.append(str(path))
    if open_ones:
        return Finding(
            "Key files", "fail", f"others may read: {', '.join(open_ones)}", f"chmod 600 {' '.join(open_ones)}"
        )
    return Finding("Key files", "ok", f"{found} found, for their owner alone" if found else "none yet")


def limits(_: Settings) -> Finding:
    """What the kernel lets sandboxes use."""
    seen = [
        f"cgroup {'v2' if Path('/sys/fs/cgroup/cgroup.controllers').exists() else 'v1'}"
        if Path("/sys/fs/cgroup").is_dir()
        else "no cgroups"
    ]
    try:
        spaces = int(Path("/proc/sys/user/max_user_namespaces").read_text())
    except (OSError, ValueError):
        spaces = 0
    seen.append(f"{spaces} user namespaces" if spaces else "no user namespaces")
    if not spaces and os.geteuid() != 0:
        return Finding(
            "Kernel",
            "warn",
            ", ".join(seen),
            "sysctl user.max_user_namespaces=10000, for sandboxes stronger than 'process'",
        )
    return Finding("Kernel", "ok", ", ".join(seen))


def leftovers(settings: Settings) -> Finding:
    """What nobody will use any more, when no Aspora runs here."""
    if not settings.data_dir.is_dir() or lock_is_held(settings.data_dir):
        return Finding("Leftovers", "ok", "in use: whoever runs sweeps its own")
    old = time.time() - LEFTOVER_SECONDS
    places = (*settings.data_dir.glob("postgres.new-*"), *(settings.data_dir / "sandbox").glob("*"))
    found = tuple(str(path) for path in places if path.lstat().st_mtime < old)
    if found:
        return Finding(
            "Leftovers",
            "warn",
            f"{len(found)} folders of killed processes",
            "the next start sweeps them",
            found[:MAX_SHOWN],
        )
    return Finding("Leftovers", "ok", "none")
