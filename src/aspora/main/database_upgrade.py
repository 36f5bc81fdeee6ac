"""`aspora upgrade-database`: by a backup of the old server and a restore into a new one, beside each other.

The new cluster is made whole in the folder `upgrade` before anything is renamed; the old one is put aside, never
removed. Every step can be broken off: the next run begins anew, or finishes the renames.
"""

import asyncio
import os
import shutil
from pathlib import Path

from aspora.backup.archive import read_contents
from aspora.backup.loading import Destination, Restored, restore_backup
from aspora.backup.snapshot import Sources, write_backup
from aspora.cli import exit_codes
from aspora.cli.output import Output, Progress
from aspora.db.binaries import MAJOR_VERSION, installed_binaries
from aspora.db.cluster import Cluster
from aspora.db.data_dir import DataDirLock, prepare_data_dir
from aspora.db.embedded import EmbeddedPostgres
from aspora.db.migrate import load_migrations
from aspora.db.os_user import server_user
from aspora.db.queries import Queries
from aspora.main.backups import AFTER_LOAD, open_for_operator
from aspora.main.settings import Settings
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_store
from aspora.meta.errors import Conflict, NotFound

SCRATCH = "upgrade"
_queries = Queries.load("aspora.main", "database_upgrade.sql")


def upgrade_database(settings: Settings, out: Output, *, programs: Path | None, force: bool = False) -> int:
    """Bring an older cluster over; nothing to do when there is none.

    Args:
        programs: Where the older version's `postgres` is; None to look for it.
        force: Go on although executions wait, which then end as failed.
    """
    if settings.database_url:
        raise Conflict("ASPORA_DATABASE_URL names a server of your own; upgrade it with its own tools (pg_upgrade)")
    data_dir = prepare_data_dir(settings.data_dir, uid=os.geteuid())
    cluster = Cluster(data_dir=data_dir, user=server_user(uid=os.geteuid()))
    if not cluster.path.exists():
        with DataDirLock(data_dir):
            return _finish(cluster, out)
    version = cluster.version()
    if version == str(MAJOR_VERSION):
        out.line(f"the database is PostgreSQL {version} already; nothing to do")
        return exit_codes.OK
    if version is None or not version.isdecimal() or int(version) > MAJOR_VERSION:
        cluster.is_made()  # refuses, with the way out
    old = installed_binaries(int(version or 0), runtime_dir=settings.runtime_dir, given=programs)
    # Held to the end: an Aspora that started on the old data meanwhile would write what is not carried over.
    with DataDirLock(data_dir) as lock:
        aside = data_dir / f"postgres-{version}"
        if aside.exists():
            raise Conflict(f"{str(aside)!r} is there already, where the old data is to be kept; move it away first")
        server = EmbeddedPostgres(data_dir, binaries=old, progress=out.note, lock=lock)
        restored = _copy_over(settings, cluster, out, old=server, force=force)
        cluster.path.rename(aside)
        for remark in restored.remarks:
            out.line(f"  {remark}")
        return _finish(cluster, out)


async def _look_for_unfinished(dsn: str, out: Output, *, force: bool) -> None:
    """Whoever waits for an execution shall know before it is ended.

    Raises:
        Conflict: Executions wait or run, and nobody said that they may end.
    """
    async with await open_for_operator(dsn) as database, database.connection() as connection:
        found = await _queries.fetch_one(connection, "unfinished")
    if found is None or not found["all"]:
        return
    fate = (
        f"executions not finished: {found['all']}, of them durable: {found['durable']}; none goes on after the upgrade,"
        " each ends as Failed"
    )
    if not force:
        raise Conflict(
            f"{fate}; start the Aspora that made the data and let them end (aspora get executions --state Pending, and"
            " --state Running), or give them up with --force"
        )
    out.warn(fate)


def _copy_over(settings: Settings, cluster: Cluster, out: Output, *, old: EmbeddedPostgres, force: bool) -> Restored:
    """Make the new cluster, whole, in the scratch folder."""
    scratch = cluster.data_dir / SCRATCH
    if scratch.exists():
        shutil.rmtree(scratch)
    prepare_data_dir(scratch, uid=os.geteuid())
    file = scratch / "database.tar"
    # Artifacts, and the key's place, stay where they are: the rows alone are carried over.
    sources = Sources(
        artifacts=artifact_store(settings), list_digests=(), key_id="", secret_key=None, aspora=aspora_version()
    )

    async def write(dsn: str, progress: Progress) -> None:
        async with await open_for_operator(dsn) as database:
            await write_backup(file, database, sources, tell=progress.step, plan=progress)

    with old:
        asyncio.run(_look_for_unfinished(old.dsn, out, force=force))
        with Progress(out, total=0, title="reading") as progress:
            asyncio.run(write(old.dsn, progress))
    contents = read_contents(file)
    # The same passwords, since their file stays too.
    shutil.copy2(cluster.credentials_path, scratch / cluster.credentials_path.name)
    destination = Destination(
        migrations=load_migrations(), artifacts=artifact_store(settings), after_load=AFTER_LOAD, replaces=True
    )

    async def load(dsn: str, progress: Progress) -> Restored:
        async with await open_for_operator(dsn) as database:
            return await restore_backup(file, contents, database, destination, tell=progress.step)

    new = EmbeddedPostgres(scratch, progress=out.note)
    with new, Progress(out, total=len(contents.head.tables), title="writing") as progress:
        return asyncio.run(load(new.dsn, progress))


def _finish(cluster: Cluster, out: Output) -> int:
    """The last rename: once the old cluster is aside, the new one is known to be whole. The folder's lock is held."""
    scratch = cluster.data_dir / SCRATCH
    former = cluster.former_paths()
    if not former or not (scratch / cluster.path.name).exists():
        raise NotFound(
            f"data directory {str(cluster.data_dir)!r} holds no database to upgrade; "
            "name the right one with --data-dir or ASPORA_DATA_DIR"
        )
    (scratch / cluster.path.name).rename(cluster.path)
    shutil.rmtree(scratch)
    out.line(
        f"the database is PostgreSQL {MAJOR_VERSION} now; the old data is in {former[-1]}, remove it when all is well"
    )
    return exit_codes.OK
