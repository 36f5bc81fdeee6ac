"""Data of another PostgreSQL: refused with the way over, and brought over."""

import asyncio
import contextlib
import io
import os
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aspora.cli.output import Output
from aspora.db.binaries import MAJOR_VERSION, InstalledBinaries
from aspora.db.cluster import SUPERUSER, Cluster, load_credentials
from aspora.db.data_dir import lock_is_held, prepare_data_dir
from aspora.db.embedded import DATABASE, ROLE, EmbeddedPostgres
from aspora.db.migrate import load_migrations, migrate
from aspora.db.os_user import server_user
from aspora.db.pool import Database
from aspora.db.server_process import run_to_end
from aspora.main.database_upgrade import upgrade_database
from aspora.main.settings import Settings
from aspora.meta.errors import Conflict, NotFound, Unavailable

OLD = 15
PROGRAMS = Path(f"/usr/lib/postgresql/{OLD}/bin")


def upgrade(folder: Path, *, programs: Path | None = None, force: bool = False) -> str:
    out = Output(io.StringIO(), io.StringIO())
    assert upgrade_database(Settings(data_dir=folder), out, programs=programs, force=force) == 0
    return out.stdout.getvalue() + out.stderr.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_another_version_is_refused_before_anything_is_touched(made_dir: Path) -> None:
    mark = made_dir / "postgres" / "PG_VERSION"
    runtime = made_dir / "runtime" / f"pgsql-{OLD}-0.1"
    runtime.mkdir(parents=True)
    for version, way in ((str(OLD), "aspora upgrade-database"), ("99", "use the newer Aspora"), ("x", "move it away")):
        mark.write_text(version + "\n")
        with pytest.raises(Conflict, match=f"data of PostgreSQL {version} and this Aspora ships .*{way}"):
            EmbeddedPostgres(made_dir).start()
    assert runtime.exists(), "programs of the older version may still be needed"
    mark.write_text("14\n")
    with pytest.raises(Unavailable, match=r"no programs of PostgreSQL 14 .* postgresql-14"):
        upgrade(made_dir)
    mark.write_text("99\n")
    with pytest.raises(Conflict, match="use the newer Aspora"):
        upgrade(made_dir)
    mark.write_text(f"{MAJOR_VERSION}\n")
    assert "nothing to do" in upgrade(made_dir)


def test_an_upgrade_that_was_broken_off_is_finished(made_dir: Path) -> None:
    (made_dir / "upgrade").mkdir()
    (made_dir / "postgres").rename(made_dir / "upgrade" / "postgres")
    (made_dir / f"postgres-{OLD}").mkdir()
    with pytest.raises(Conflict, match=r"was broken off .* finish it: aspora upgrade-database"):
        EmbeddedPostgres(made_dir).start()
    assert f"in {made_dir}/postgres-{OLD}" in upgrade(made_dir)
    with EmbeddedPostgres(made_dir) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("select 1")


def test_nothing_to_upgrade_is_told(data_dir: Path) -> None:
    with pytest.raises(NotFound, match="no database to upgrade"):
        upgrade(data_dir)


def initdb_of_old(cluster: Cluster, password: str) -> None:
    """As an Aspora of that time would have done."""
    user = cluster.user
    cluster.path.mkdir(mode=0o700)
    os.chown(cluster.path, user.uid, user.gid)
    secret = cluster.data_dir / "password"
    secret.write_text(password)
    os.chown(secret, user.uid, user.gid)
    words = [f"--pgdata={cluster.path}", f"--username={SUPERUSER}", f"--pwfile={secret}", "--auth=scram-sha-256"]
    status, said = run_to_end(
        [str(PROGRAMS / "initdb"), *words, "--encoding=UTF8", "--locale=C", "--no-sync"], user, timeout_seconds=120
    )
    secret.unlink()
    assert status == 0, said


@contextlib.contextmanager
def lock_watched(folder: Path) -> Generator[list[bool]]:
    """While the block runs another thread asks again and again for the folder's lock; a list that is filled if it is
    free after it was held, before the new cluster is in its place.
    """
    was_free, ended = list[bool](), threading.Event()

    def watch() -> None:
        while not lock_is_held(folder) and not ended.is_set():
            pass
        while not ended.wait(0.001):
            if not lock_is_held(folder) and (folder / "postgres" / "PG_VERSION").read_text().strip() == str(OLD):
                was_free.append(True)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield was_free
    finally:
        ended.set()
        watcher.join()


async def _fill(dsn: str) -> None:
    async with await Database.open(dsn, max_size=1) as database:
        await migrate(database, [m for m in load_migrations() if m.number <= 3])
        async with database.connection() as connection:
            await connection.execute(
                b"insert into objects (kind, domain, name, uid, resource_version, object)"
                b""" values ('Domain', '', 'kept', 'u', 1, '{"metadata": {"name": "kept"}}')"""
            )
            await connection.execute(
                b"insert into executions (id, day, domain, skill, revision, environment, class, caller, created_at,"
                b" deadline, state)"
                b" select 'EXEC-' || to_char(now() at time zone 'UTC', 'YYYYMMDDHH24MISS') || '-0000000' || n,"
                b" (now() at time zone 'UTC')::date, 'd', 's', 'r', 'production',"
                b" case when n < 3 then 'durable' else 'inline' end, 'c', now(), now() + interval '1 day',"
                b" case when n = 4 then 'Succeeded' else 'Pending' end"
                b" from generate_series(1, 4) as n"
            )


@pytest.mark.skipif(not PROGRAMS.is_dir(), reason=f"needs PostgreSQL {OLD}: apt install postgresql-{OLD}")
async def test_a_cluster_of_postgresql_15_is_brought_over(data_dir: Path) -> None:
    folder = prepare_data_dir(data_dir, uid=os.geteuid())
    old = InstalledBinaries(PROGRAMS, OLD)
    cluster = Cluster(data_dir=folder, user=server_user(uid=os.geteuid()))
    credentials = load_credentials(cluster)
    initdb_of_old(cluster, credentials.superuser)
    with EmbeddedPostgres(folder, binaries=old) as server:
        with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
            role = sql.Identifier(ROLE)
            connection.execute(sql.SQL("create role {} login").format(role))
            connection.pgconn.change_password(ROLE.encode(), credentials.application.encode())
            connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(DATABASE), role))
        await _fill(server.dsn)
    told = "executions not finished: 3, of them durable: 2; none goes on after the upgrade, each ends as Failed"
    with pytest.raises(Conflict, match=rf"{told}; start the Aspora that made the data .* give them up with --force"):
        await asyncio.to_thread(upgrade, folder)
    assert cluster.version() == str(OLD)
    with lock_watched(folder) as was_free:
        said = await asyncio.to_thread(partial(upgrade, folder, force=True))
    assert was_free == []
    assert told in said
    assert f"PostgreSQL {MAJOR_VERSION} now" in said
    assert (folder / f"postgres-{OLD}" / "PG_VERSION").read_text().strip() == str(OLD)
    assert not (folder / "upgrade").exists()
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.info.server_version // 10_000 == MAJOR_VERSION
        assert connection.execute("select name from objects").fetchall() == [("kept",)]
        newest = connection.execute("select max(number) from schema_migrations").fetchone()
        assert newest == (load_migrations()[-1].number,)
