"""The test database itself: shared by processes, gone with the last of them, even if it is killed."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from aspora.testing import postgres as shared_module
from aspora.testing.postgres import SharedPostgres, shared_postgres

Start = Callable[..., "subprocess.Popen[str]"]
PATIENCE_SECONDS = 30
USER = """
import sys
from pathlib import Path
from aspora.testing.postgres import shared_postgres
with shared_postgres(Path(sys.argv[1])) as server:
    print(server.superuser_dsn, flush=True)
    sys.stdin.read()
"""


def server_pid(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select pg_read_file('postmaster.pid')").fetchone()
    assert row is not None
    return int(row[0].split("\n", 1)[0])


def first_line(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def wait_until_gone(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.01)


def test_databases_are_separate_fresh_copies_and_go_away(postgres: SharedPostgres) -> None:
    with postgres.database() as one, postgres.database() as other:
        with psycopg.connect(one, autocommit=True) as connection:
            connection.execute("create table only_here (id integer)")
            assert connection.execute("select count(*) > 0 from schema_migrations").fetchone() == (True,)
        with psycopg.connect(other, autocommit=True) as connection:
            assert connection.execute("select to_regclass('only_here')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)


def test_a_process_more_uses_the_same_server(postgres: SharedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_module, "_start", lambda _: pytest.fail("a second server"))
    with shared_postgres() as again:
        assert again == postgres


def test_two_at_once_start_one_server_which_outlives_the_first_and_dies_with_the_last(
    open_dir: Path, start_program: Start
) -> None:
    folder = open_dir / "shared"
    users = [start_program(USER, folder) for _ in range(2)]
    dsns = [first_line(user) for user in users]
    assert dsns[0] == dsns[1]
    pid = server_pid(dsns[0])
    users[0].kill()
    users[0].wait()
    assert server_pid(dsns[1]) == pid
    users[1].kill()
    users[1].wait()
    wait_until_gone(folder)
    wait_until_gone(Path(f"/proc/{pid}"))


def test_a_killed_server_is_replaced(open_dir: Path, start_program: Start) -> None:
    folder = open_dir / "shared"
    first = start_program(USER, folder)
    pid = server_pid(first_line(first))
    subprocess.run(["kill", "-9", str(pid)], check=True)
    second = start_program(USER, folder)
    assert server_pid(first_line(second)) != pid
    for user in (first, second):
        user.communicate(timeout=PATIENCE_SECONDS)
    wait_until_gone(folder)
