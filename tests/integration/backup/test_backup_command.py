"""The commands as processes on a database of their own: killed on the way, and out of room."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from aspora.sealing.cipher import new_key
from aspora.testing.postgres import SharedPostgres


def environ(dsn: str, folder: Path, **more: str) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")}
    return {**base, "ASPORA_DATABASE_URL": dsn, "ASPORA_DATA_DIR": str(folder / "data"), "NO_COLOR": "1", **more}


def begin(dsn: str, folder: Path, *argv: str, **how: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "aspora", *argv]
    return subprocess.Popen(
        command, env=environ(dsn, folder), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how
    )


def run(dsn: str, folder: Path, *argv: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "aspora", *argv]
    return subprocess.run(command, env=environ(dsn, folder, **more), text=True, capture_output=True, check=False)


def fill(dsn: str, name: str, *, count: int = 1, pad: int = 10) -> None:
    item = (
        "jsonb_build_object('op', 'create', 'kind', 'Route', 'domain', 'd', 'name', %s::text || n, 'uid', n::text,"
        " 'at', '2026-11-28T00:00:00Z', 'object', jsonb_build_object('kind', 'Route', 'metadata',"
        " jsonb_build_object('name', %s::text || n), 'spec', jsonb_build_object('pad', repeat(md5(n::text), %s))))"
    )
    statement = f"select count(*) from aspora_write_objects((select jsonb_agg({item}) from generate_series(1, %s) n))"
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode(), [name, name, pad, count])


def names(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("select distinct rtrim(name, '0123456789') from objects")}


def wait_until_it(superuser_dsn: str, dsn: str, doing: str, *, process: "subprocess.Popen[str]") -> None:
    """Wait until the process's session runs a statement that begins so."""
    look = (
        "select from pg_stat_activity where datname = %s and state = 'active' and query ilike %s"
        " and application_name = 'operator of aspora'"
    )
    database = urlsplit(dsn).path.removeprefix("/")
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        while connection.execute(look, [database, doing]).fetchone() is None:
            assert process.poll() is None, process.communicate()


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_kill_9_of_a_backup_leaves_no_file_that_passes(postgres: SharedPostgres, dsn: str, tmp_path: Path) -> None:
    fill(dsn, "one")
    with psycopg.connect(dsn) as connection:
        # The backup stops at this table for as long as it takes to kill it.
        connection.execute("create table zz_slow (n integer)")
        connection.execute("insert into zz_slow values (1)")
        connection.execute("alter table zz_slow enable row level security, force row level security")
        connection.execute("create policy p on zz_slow using (pg_sleep(60) is not null)")
    out = tmp_path / "out"
    out.mkdir()
    process = begin(dsn, tmp_path, "backup", str(out / "all.tar"))
    wait_until_it(postgres.superuser_dsn, dsn, "copy (select%zz_slow%", process=process)
    kill(process)
    [left] = os.listdir(out)
    assert left.startswith(".aspora-backup-")
    refused = run(dsn, tmp_path, "backup", "--verify", str(out / left))
    assert refused.returncode == 4
    assert "use another" in refused.stderr
    with psycopg.connect(dsn) as connection:
        # The server notices late that nobody listens any more; until then the table is held.
        held = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        connection.execute(f"{held} and pid <> pg_backend_pid() and query like 'copy (select%zz_slow%'")
        connection.execute("drop table zz_slow")
    done = run(dsn, tmp_path, "backup", str(out / "all.tar"))
    assert done.returncode == 0, done.stderr
    assert os.listdir(out) == ["all.tar"], "the next one sweeps what the killed one left"
    assert "is whole" in run(dsn, tmp_path, "backup", "--verify", str(out / "all.tar")).stdout


def test_a_full_disk_is_told_and_leaves_nothing(dsn: str, tmp_path: Path) -> None:
    fill(dsn, "one", count=500, pad=100)
    out = tmp_path / "out"
    out.mkdir()

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    process = begin(dsn, tmp_path, "backup", str(out / "all.tar"), preexec_fn=small_files)
    _, said = process.communicate()
    assert process.returncode == 3, said
    assert "was not made: File too large; free some space" in said
    assert os.listdir(out) == []


def test_kill_9_of_a_restore_changes_nothing(postgres: SharedPostgres, dsn: str, tmp_path: Path) -> None:
    fill(dsn, "backed", count=3000, pad=200)
    file = str(tmp_path / "all.tar")
    assert run(dsn, tmp_path, "backup", file).returncode == 0
    with postgres.database() as other:
        fill(other, "mine")
        process = begin(other, tmp_path, "restore", file, "--force")
        wait_until_it(postgres.superuser_dsn, other, "copy %", process=process)
        kill(process)
        assert names(other) == {"mine"}
        done = run(other, tmp_path, "restore", file, "--force")
        assert done.returncode == 0, done.stderr
        assert names(other) == {"backed"}


@pytest.mark.parametrize("include", [False, True])
def test_the_key_stays_out_unless_asked_for(postgres: SharedPostgres, dsn: str, tmp_path: Path, include: bool) -> None:
    key = new_key()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").write_text(key.text)
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into secret_keys (key_id, probe) values (%s, 'p')", [key.key_id])
    file = tmp_path / "all.tar"
    done = run(dsn, tmp_path, "backup", str(file), *(["--include-secret-key"] if include else []))
    assert done.returncode == 0, done.stderr
    assert ("holds the SECRET KEY" in done.stderr) is include
    assert ("is NOT in the backup" in done.stderr) is not include
    assert (key.text.encode() in file.read_bytes()) is include
    with postgres.database(template="template1") as empty:
        done = run(empty, tmp_path, "restore", str(file), ASPORA_DATA_DIR=str(tmp_path / "new"))
        assert done.returncode == 0, done.stderr
        place = tmp_path / "new" / "secret.key"
        assert place.exists() is include
        if include:
            assert (place.read_text().strip(), place.stat().st_mode & 0o777) == (key.text, 0o600)
        else:
            assert f"sealed with key {key.key_id!r} and it is not here" in done.stderr
