"""The embedded server through its whole life: made, restarted, killed, refused, and what it leaves alone."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest
from tests.servers import free_port

import aspora.db.embedded as embedded_module
from aspora.db.binaries import copied_binaries, shipped_binaries
from aspora.db.embedded import EmbeddedPostgres
from aspora.db.pool import Database
from aspora.db.socket_dir import Endpoint
from aspora.meta.errors import Conflict, Forbidden, StatusError, Unavailable

PATIENCE_SECONDS = 60
AS_ROOT = os.geteuid() == 0
HOLDER = """
import signal, sys
from pathlib import Path
from aspora.db.embedded import EmbeddedPostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of a shell's background inherits it ignored
server = EmbeddedPostgres(Path(sys.argv[1]), sync=False, progress=lambda step: print(step, flush=True))
try:
    server.start()
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(server.pid, server.dsn, flush=True)
if len(sys.argv) < 3:
    sys.stdin.read()
server.stop()
"""


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """True when the process is no more, or a zombie nobody reaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def run(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def read_ready(program: "subprocess.Popen[str]") -> tuple[int, str]:
    assert program.stdout is not None
    for line in program.stdout:
        first, _, rest = line.strip().partition(" ")
        if first.isdigit():
            return int(first), rest
    raise AssertionError(f"it ended with {program.wait()}")


@pytest.fixture
def server(made_dir: Path) -> Generator[EmbeddedPostgres]:
    """A server over a database that was made before, not started yet."""
    server = EmbeddedPostgres(made_dir)
    yield server
    server.stop()


def test_made_once_then_started_again_with_everything_in_it(data_dir: Path) -> None:
    steps: list[str] = []
    with EmbeddedPostgres(data_dir, sync=False, progress=steps.append) as server:
        run(server.dsn, "create table kept as select 42 as n")
        assert run(server.dsn, "select current_user::text, rolsuper from pg_roles where rolname = current_user") == [
            ("aspora", False)
        ]
        assert run(server.dsn, "select extname::text from pg_extension where extname = 'vector'") == [("vector",)]
        settings = (
            "select current_setting(x) from unnest(array['data_checksums', 'server_encoding', 'listen_addresses']) x"
        )
        assert run(server.dsn, settings) == [("on",), ("UTF8",), ("",)]
        pid = server.pid
    assert is_gone(pid)
    assert any("making the database" in step for step in steps)
    steps.clear()
    with EmbeddedPostgres(data_dir, progress=steps.append) as server:
        assert run(server.dsn, "select n from kept") == [(42,)]
    assert steps == ["starting the database"]


def test_files_are_private_and_a_wrong_or_no_password_does_not_get_in(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    for name, mode in (("postgres", 0o700), ("postgres.credentials", 0o600), ("run", 0o700), ("postgres.log", 0o600)):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == mode, name
    assert not (data_dir / "postgres.initdb-password").exists()
    host = server.dsn.split("?", 1)[1]
    for role in ("aspora", "postgres"):
        with pytest.raises(psycopg.OperationalError, match=r"password"):
            psycopg.connect(f"postgresql://{role}@/postgres?{host}", passfile="/nonexistent")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://{role}:wrong@/postgres?{host}")


def test_no_value_reaches_the_log(server: EmbeddedPostgres) -> None:
    server.start()
    run(server.dsn, "create table t (a text primary key, check (a <> 'prompt-one'))")
    for statement in (
        "insert into t values ('prompt-two'), ('prompt-two')",
        "insert into t values ('prompt-one')",
        "select 'prompt-three'::integer",
        "select prompt_four",
    ):
        with pytest.raises(psycopg.Error):
            run(server.dsn, statement)
    server.stop()
    log = server.log_path.read_text()
    assert "ready to accept connections" in log
    assert "prompt" not in log


async def test_a_killed_server_is_started_again_and_the_pool_recovers(server: EmbeddedPostgres) -> None:
    server.start()
    async with await Database.open(server.dsn) as database:
        async with database.connection() as connection:
            await connection.execute("create table kept as select 42 as n")
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.is_running)
        with pytest.raises(Unavailable):
            await database.ping(timeout_seconds=0.2)
        assert server.ensure_running()
        assert not server.ensure_running()
        await database.ping(timeout_seconds=PATIENCE_SECONDS)
        async with database.connection() as connection:
            row = await (await connection.execute("select n from kept")).fetchone()
    assert row == {"n": 42}


def test_a_killed_aspora_takes_its_server_along_and_the_next_start_finds_all_rows(
    made_dir: Path, start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    holder = start_program(HOLDER, made_dir)
    pid, dsn = read_ready(holder)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as n")
        # Still connected, in mid-query: the dying server must not keep the next one out.
        holder.kill()
        holder.wait()
        with EmbeddedPostgres(made_dir) as server:
            assert run(server.dsn, "select n from kept") == [(42,)]
            assert server.pid != pid
    assert is_gone(pid)


def test_killed_in_the_middle_of_making_the_database_it_is_made_anew(
    data_dir: Path, start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    holder = start_program(HOLDER, data_dir)
    assert holder.stdout is not None
    assert "making the database" in holder.stdout.readline()
    wait_until(lambda: any(data_dir.glob("postgres*/PG_VERSION")))
    holder.kill()
    holder.wait()
    with EmbeddedPostgres(data_dir, sync=False) as server:
        assert run(server.dsn, "select 1") == [(1,)]
    with EmbeddedPostgres(data_dir):
        assert not list(data_dir.glob("postgres.new*"))


def test_ctrl_c_in_the_middle_of_making_the_database_leaves_nothing_running(
    data_dir: Path, start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    holder = start_program(HOLDER, data_dir)
    assert holder.stdout is not None
    assert "making the database" in holder.stdout.readline()
    wait_until(lambda: any(data_dir.glob("postgres*/PG_VERSION")))
    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=PATIENCE_SECONDS)
    assert holder.returncode != 0
    assert not list(data_dir.glob("*initdb-password"))
    wait_until(lambda: not serving(data_dir))
    with EmbeddedPostgres(data_dir, sync=False) as server:
        assert run(server.dsn, "select 1") == [(1,)]


def serving(data_dir: Path) -> bool:
    """True while any process works on files of the data directory."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(data_dir) in command.read_text() and command.parent.name != str(os.getpid()):
                return True
        except OSError:
            continue
    return False


def test_one_aspora_at_a_time(
    made_dir: Path, server: EmbeddedPostgres, start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    holder = start_program(HOLDER, made_dir)
    pid, _ = read_ready(holder)
    with pytest.raises(Conflict, match=rf"already in use by pid {holder.pid};.*--data-dir"):
        server.start()
    assert not is_gone(pid)


def test_of_two_starts_at_the_same_moment_one_wins_and_the_other_says_why(
    data_dir: Path, start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    both = [start_program(HOLDER, data_dir, "stop at once") for _ in range(2)]
    outputs = [program.communicate(timeout=PATIENCE_SECONDS)[0] for program in both]
    codes = sorted(program.returncode for program in both)
    # The second may come so late that the first has stopped: then both win, one after the other.
    assert codes in ([0, 0], [0, 1]), outputs
    if codes == [0, 1]:
        assert any("Conflict: data directory" in output for output in outputs)


def test_a_stale_pid_file_of_somebody_elses_pid_is_forgotten(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    other = subprocess.Popen(["/bin/sleep", "60"])
    try:
        (data_dir / "postgres" / "postmaster.pid").write_text(
            f"{other.pid}\n{data_dir}/postgres\n1\n5432\n\n\n\nready\n"
        )
        server.start()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_it_may_be_started_from_a_thread_that_ends(server: EmbeddedPostgres) -> None:
    starting = threading.Thread(target=server.start)
    starting.start()
    starting.join()
    assert run(server.dsn, "select pg_sleep(0.1)") == [("",)]
    assert server.is_running


def test_a_path_too_long_for_a_socket_uses_a_short_private_folder(open_dir: Path, made_dir: Path) -> None:
    long = open_dir / ("x" * 100)
    made_dir.rename(long)
    with EmbeddedPostgres(long) as server:
        assert run(server.dsn, "show listen_addresses") == [("",)]
        folder = Path(str(run(server.superuser_dsn, "show unix_socket_directories")[0][0]))
        assert len(str(folder)) < 60
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    shutil.rmtree(folder)


def test_where_sockets_do_not_work_it_listens_on_loopback_alone(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr(embedded_module, "choose_endpoint", lambda *_: Endpoint(host="127.0.0.1", port=port))
    server.start()
    assert run(server.dsn, "show listen_addresses") == [("127.0.0.1",)]
    server.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(Unavailable, match="the address is taken"):
            server.start()
    assert not server.is_running


def test_another_versions_data_and_other_files_are_refused(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(Conflict, match=r"holds data of PostgreSQL 12 and this Aspora ships PostgreSQL 18"):
        server.start()
    version.unlink()
    with pytest.raises(Conflict, match=r"holds no PostgreSQL data"):
        server.start()


def test_lost_or_wrong_passwords_are_named(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    path = data_dir / "postgres.credentials"
    path.write_text('{"superuser": "a", "application": "b"}')
    with pytest.raises(Conflict, match=r"refuses its own password.*postgres\.credentials"):
        server.start()
    assert not server.is_running
    path.unlink()
    with pytest.raises(Conflict, match=r"password file .* is missing or broken"):
        server.start()


def test_a_broken_server_says_its_last_words(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    (data_dir / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(Unavailable, match=r"did not start \(log: .*postgres\.log\)(.|\n)*pg_control"):
        server.start()


def test_a_full_disk_is_said_to_be_full(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match="only 1 MB are free"):
        EmbeddedPostgres(data_dir).start()


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    found = {part: part.stat() for part in (path, *path.parents)}
    return {part: (s.st_mode, s.st_uid, s.st_gid) for part, s in found.items()}


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_as_root_no_existing_folder_changes_and_closed_binaries_are_copied(
    made_dir: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = shipped_binaries()
    home = open_dir / "home"
    home.mkdir()
    closed = copied_binaries(shipped, home)
    home.chmod(0o700)
    monkeypatch.setattr(embedded_module, "shipped_binaries", lambda: closed)
    watched = [Path("/root"), Path.home(), shipped.postgres, closed.postgres, made_dir.parent]
    before = [modes(path) for path in watched]
    with EmbeddedPostgres(made_dir, sync=False) as server:
        program = Path(f"/proc/{server.pid}/exe").readlink()
        assert program.is_relative_to(made_dir / "runtime")
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert run(server.dsn, "select extname::text from pg_extension where extname = 'vector'") == [("vector",)]
    assert [modes(path) for path in watched] == before
    copied = program.stat().st_ino
    (made_dir / "runtime" / "pgsql-17-old").mkdir()
    with EmbeddedPostgres(made_dir):
        assert program.stat().st_ino == copied
        assert not (made_dir / "runtime" / "pgsql-17-old").exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_as_root_a_data_folder_inside_a_closed_one_is_refused_by_name_and_left_closed(open_dir: Path) -> None:
    home = open_dir / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(Forbidden, match=rf"'{home}' is closed to user 'aspora-postgres'.*--data-dir /var/lib/aspora"):
        EmbeddedPostgres(home / "data", sync=False).start()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root can make another user's folder")
def test_a_data_folder_of_another_user_is_refused_both_ways(
    data_dir: Path,
    open_dir: Path,
    as_ordinary_user: list[str],
    start_program: Callable[..., "subprocess.Popen[str]"],
) -> None:
    theirs = start_program(HOLDER, data_dir, "stop", command=as_ordinary_user)
    output, _ = theirs.communicate(timeout=PATIENCE_SECONDS)
    assert theirs.returncode == 0, output
    with pytest.raises(Forbidden, match=r"belongs to user 'nobody' and Aspora runs as 'root'"):
        EmbeddedPostgres(data_dir).start()

    mine = open_dir / "mine"
    mine.mkdir()
    refused = start_program(HOLDER, mine, "stop", command=as_ordinary_user)
    output, _ = refused.communicate(timeout=PATIENCE_SECONDS)
    assert refused.returncode == 1
    assert "Forbidden: data directory" in output
    assert "belongs to user 'root' and Aspora runs as 'nobody'" in output


def test_an_ordinary_user_runs_it_as_themselves(
    data_dir: Path, as_ordinary_user: list[str], start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    program = start_program(HOLDER, data_dir, command=as_ordinary_user)
    pid, dsn = read_ready(program)
    assert run(dsn, "select 1") == [(1,)]
    assert Path(f"/proc/{pid}").stat().st_uid == data_dir.stat().st_uid
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_an_ordinary_user_with_an_unwritable_folder_is_told_which(
    open_dir: Path, as_ordinary_user: list[str], start_program: Callable[..., "subprocess.Popen[str]"]
) -> None:
    open_dir.chmod(0o555)
    program = start_program(HOLDER, open_dir / "data", command=as_ordinary_user)
    output, _ = program.communicate(timeout=PATIENCE_SECONDS)
    assert program.returncode == 1
    assert f"Forbidden: can't use data directory '{open_dir}/data': no permission" in output
    program = start_program(HOLDER, open_dir, command=as_ordinary_user)
    output, _ = program.communicate(timeout=PATIENCE_SECONDS)
    assert program.returncode == 1
    assert f"Forbidden: can't use data directory '{open_dir}': no permission" in output


def test_stopping_twice_or_without_a_start_is_harmless(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(StatusError, match="not running"):
        _ = server.dsn
