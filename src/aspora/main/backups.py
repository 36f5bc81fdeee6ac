"""`aspora backup` and `aspora restore`: for the operator on the machine, straight at the database, never over HTTP."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aspora.backup.archive import Contents, read_contents
from aspora.backup.interface import AfterLoad, ListDigests
from aspora.backup.loading import Destination, Restored, require_known_schema, restore_backup
from aspora.backup.snapshot import Made, Sources, write_backup
from aspora.cli import exit_codes
from aspora.cli.output import Output, Progress
from aspora.db.migrate import load_migrations
from aspora.db.pool import Database
from aspora.executor.starter import SCHEMA as DURABLE_SCHEMA
from aspora.ledger.restored import end_restored_leases
from aspora.main.reach import own_database, reached_database
from aspora.main.settings import Settings, place_of
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_store
from aspora.meta.errors import Conflict, NotFound
from aspora.records.restored import blob_digests, settle_restored
from aspora.sealing.check import registered_key_id
from aspora.sealing.key_file import find_key, write_key
from aspora.store.restored import artifact_digests, begin_restored_history

LIST_DIGESTS: Sequence[ListDigests] = (artifact_digests, blob_digests)
"""One line for each owner of rows that name artifacts."""

AFTER_LOAD: Sequence[AfterLoad] = (begin_restored_history, settle_restored, end_restored_leases)
"""One line for each owner of rows that mean something else after a restore."""

APPLICATION = "operator of aspora"
"""Does not begin like the processes of a running Aspora, which a restore waits for nobody of."""


async def open_for_operator(dsn: str, *, connections: int = 1) -> Database:
    """A connection or two that no statement timeout ends."""
    return await Database.open(
        dsn, min_size=1, max_size=connections, statement_timeout_seconds=0, application_name=APPLICATION
    )


async def _write(settings: Settings, path: Path, dsn: str, progress: Progress, *, with_key: bool) -> Made:
    key = find_key(settings.secret_key, settings.secret_key_path)
    if with_key and key is None:
        raise NotFound(
            f"there is no secret key to include (looked at {str(settings.secret_key_path)!r}); put it back, or"
            " leave out --include-secret-key"
        )
    async with await open_for_operator(dsn) as database:
        async with database.connection() as connection:
            key_id = await registered_key_id(connection)
        sources = Sources(
            artifacts=artifact_store(settings),
            list_digests=LIST_DIGESTS,
            key_id=key_id,
            secret_key=key.text if key is not None and with_key else None,
            aspora=aspora_version(),
        )
        return await write_backup(path, database, sources, tell=progress.step, plan=progress)


def backup(settings: Settings, out: Output, *, path: Path, with_key: bool, replace: bool) -> int:
    """Write a backup and check it; exit 1 when artifacts are missing from the installation itself."""
    if path.exists() and not replace:
        raise Conflict(f"{str(path)!r} is there already; name another file, or replace it with --force")
    with reached_database(settings, out.note) as dsn, Progress(out, total=0, title="backup") as progress:
        made = asyncio.run(_write(settings, path, dsn, progress, with_key=with_key))
    contents = read_contents(path)
    out.line(f"{path}: {_summary(contents)}")
    if made.head.key_id:
        _tell_of_key(out, made, settings, with_key=with_key)
    if made.missing:
        out.error(
            f"{len(made.missing)} artifacts are named by objects or records and not in the store, so not in the backup:"
            f" {', '.join(made.missing[:3])}; apply their skills again (aspora doctor lists them)"
        )
        return exit_codes.FAILED
    return exit_codes.OK


def _tell_of_key(out: Output, made: Made, settings: Settings, *, with_key: bool) -> None:
    if with_key:
        out.warn("the backup holds the SECRET KEY: whoever has the file can read every secret in it; guard it well")
        return
    place = settings.secret_key_path if not settings.secret_key else "ASPORA_SECRET_KEY"
    out.warn(
        f"the secret key {made.head.key_id!r} is NOT in the backup: without it the secrets in it can never be read;"
        f" keep a copy of {place} in another place, or use --include-secret-key"
    )


def verify(out: Output, *, path: Path) -> int:
    """Read a backup to its end and compare every digest."""
    contents = read_contents(path)
    out.line(f"{path} is whole: {_summary(contents)}")
    if contents.missing:
        out.warn(
            f"{len(contents.missing)} artifacts were missing when it was made:"
            f" {', '.join(contents.missing[:3])}; apply their skills again after a restore"
        )
    return exit_codes.OK


def _summary(contents: Contents) -> str:
    head = contents.head
    schema = max((number for number, _, _ in head.migrations), default=0)
    return (
        f"{len(head.tables)} tables, {contents.artifacts} artifacts, {contents.size_bytes / 1e6:.1f} MB,"
        f" of {head.made_at}, schema {schema:04d}, Aspora {head.aspora}"
    )


async def _restore(
    settings: Settings, path: Path, contents: Contents, dsn: str, progress: Progress, *, replaces: bool
) -> Restored:
    destination = Destination(
        migrations=load_migrations(),
        artifacts=artifact_store(settings),
        after_load=AFTER_LOAD,
        foreign_schemas=(DURABLE_SCHEMA,),
        replaces=replaces,
        place=place_of(settings),
    )
    async with await open_for_operator(dsn) as database:
        return await restore_backup(path, contents, database, destination, tell=progress.step)


def restore(settings: Settings, out: Output, *, path: Path, replaces: bool) -> int:
    """Check a backup and put it into an empty installation."""
    contents = read_contents(path)
    require_known_schema(contents.head, load_migrations())
    out.note(f"{path} is whole: {_summary(contents)}")
    total = len(contents.head.tables) + contents.artifacts
    with own_database(settings, out.note) as dsn, Progress(out, total=total, title="restore") as progress:
        done = asyncio.run(_restore(settings, path, contents, dsn, progress, replaces=replaces))
    out.line(f"restored {path}, as of {contents.head.made_at}")
    for remark in done.remarks:
        out.line(f"  {remark}")
    if done.migrated:
        out.line(f"  brought up to this release: {', '.join(done.migrated)}")
    if done.skipped:
        out.warn(f"tables that Aspora does not have were left out: {', '.join(done.skipped)}")
    _settle_key(settings, out, contents, done)
    return exit_codes.OK


def _settle_key(settings: Settings, out: Output, contents: Contents, done: Restored) -> None:
    """Put the backup's key into its place when there is none; say what is wrong with the one that is there."""
    wanted = contents.head.key_id
    present = find_key(settings.secret_key, settings.secret_key_path)
    if not wanted or (present is not None and present.key_id == wanted):
        return
    if present is None and done.secret_key is not None:
        write_key(settings.secret_key_path, done.secret_key)
        out.line(f"  the secret key is in {settings.secret_key_path}")
        return
    problem = f"this installation has another one ({present.key_id!r})" if present else "it is not here"
    out.warn(
        f"the secrets are sealed with key {wanted!r} and {problem}: put that key into {settings.secret_key_path};"
        " until then they stay as they are and can't be read"
    )
