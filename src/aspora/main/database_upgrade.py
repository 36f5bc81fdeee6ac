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
from aspora.main.backups import AFTER_LOAD, open_for_operator
from aspora.main.settings import Settings
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_store
from aspora.meta.errors import Conflict, NotFound

SCRATCH = "upgrade"


def upgrade_database(settings: Settings, out: Output, *, programs: Path | None) -> int:
    """Bring an older cluster over; nothing to do when there is none."""
    if settings.database_url:
        raise Conflict("ASPORA_DATABASE_URL names a server of your own; upgrade it with its own tools (pg_upgrade)")
    data_dir = prepare_data_dir(settings.data_dir, uid=os.geteuid())
    cluster = Cluster(data_dir=data_dir, user=server_user(uid=os.geteuid()))
    if not cluster.path.exists():
        return _finish(cluster, out)
    version = cluster.version()
    if version == str(MAJOR_VERSION):
        out.line(f"the database is PostgreSQL {version} already; nothing to do")
        return exit_codes.OK
    if version is None or not version.isdecimal() or int(version) > MAJOR_VERSION:
        cluster.is_made()  # refuses, with the way out
    old = installed_binaries(int(version or 0), runtime_dir=settings.runtime_dir, given=programs)
    aside = data_dir / f"postgres-{version}"
    if aside.exists():
        raise Conflict(f"{str(aside)!r} is there already, where the old data is to be kept; move it away first")
    remarks = _copy_over(settings, cluster, out, old=EmbeddedPostgres(data_dir, binaries=old, progress=out.note))
    with DataDirLock(data_dir):
        cluster.path.rename(aside)
    for remark in remarks.remarks:
        out.line(f"  {remark}")
    return _finish(cluster, out)


def _copy_over(settings: Settings, cluster: Cluster, out: Output, *, old: EmbeddedPostgres) -> Restored:
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

    with old, Progress(out, total=0, title="reading") as progress:
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
    """The last rename: once the old cluster is aside, the new one is known to be whole."""
    scratch = cluster.data_dir / SCRATCH
    former = cluster.former_paths()
    if not former or not (scratch / cluster.path.name).exists():
        raise NotFound(
            f"data folder {str(cluster.data_dir)!r} holds no database to upgrade; "
            "name the right one with --data-dir or ASPORA_DATA_DIR"
        )
    with DataDirLock(cluster.data_dir):
        (scratch / cluster.path.name).rename(cluster.path)
    shutil.rmtree(scratch)
    out.line(
        f"the database is PostgreSQL {MAJOR_VERSION} now; the old data is in {former[-1]}, remove it when all is well"
    )
    return exit_codes.OK
