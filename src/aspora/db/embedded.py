"""PostgreSQL as a part of Aspora: made, started, watched and stopped as a child process over a data directory.

`start` is slow only the first time (initdb) and safe after any crash; whatever ends this process ends the server too.
All methods block: call them before the event loop starts, or with `asyncio.to_thread`.
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from aspora.db.binaries import MAJOR_VERSION, Binaries, InstalledBinaries, copied_binaries, shipped_binaries
from aspora.db.cluster import (
    SUPERUSER,
    Cluster,
    Credentials,
    create_cluster,
    explain_failure,
    load_credentials,
    settle_orphan,
    sweep_scratch,
    write_hba,
)
from aspora.db.data_dir import DataDirLock, explained, first_closed, prepare_data_dir
from aspora.db.os_user import ROOT_UID, SERVER_USER_NAME, OsUser, server_user
from aspora.db.server_process import BoundedLog, ServerProcess
from aspora.db.socket_dir import Endpoint, choose_endpoint
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Conflict, Forbidden, Timeout, Unavailable

DATABASE = "aspora"
ROLE = "aspora"

SERVER_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    "max_wal_size": "1GB",
    "wal_compression": "pglz",
    "checkpoint_timeout": "15min",
    "io_method": "sync",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "update_process_title": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # No statement and no value may reach the log: of errors only fatal ones, and those without detail.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
}
"""How the server is set up for a small machine; `commit_delay` and the like are left alone."""

_SINCE = {"io_method": 18}
"""Settings that older servers do not know."""

_READY_PROBE_SECONDS = 0.02
_QUIT_GRACE_SECONDS = 3.0
_START_BACKOFF = Backoff(base_seconds=0.1, max_seconds=1.0)
_TRANSIENT = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


@dataclass(frozen=True, slots=True)
class _Running:
    process: ServerProcess
    endpoint: Endpoint
    credentials: Credentials


def _silent(step: str) -> None:
    """The progress callback of those who want none."""


class EmbeddedPostgres:
    """A PostgreSQL server of our own.

    Args:
        data_dir: Aspora's data directory; made when missing.
        progress: Told each slow step in a person's words.
        settings: Server settings beside `SERVER_SETTINGS`; they win.
        binaries: Programs of an older version, to run data of it as it is; None takes the shipped ones.
        sync: False lets initdb leave its files to the page cache: for tests alone.
        lock: The data directory's, which the caller holds before and after; None to take it with `start` and let go of
            it with `stop`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        progress: Callable[[str], None] = _silent,
        start_timeout_seconds: float = 60.0,
        stop_timeout_seconds: float = 15.0,
        settings: Mapping[str, str] | None = None,
        os_user_name: str = SERVER_USER_NAME,
        binaries: InstalledBinaries | None = None,
        sync: bool = True,
        lock: DataDirLock | None = None,
    ) -> None:
        self._asked_dir = data_dir
        self._binaries = binaries
        self._progress = progress
        self._start_timeout_seconds = start_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._settings = {**SERVER_SETTINGS, **(settings or {})}
        self._os_user_name = os_user_name
        self._sync = sync
        self._callers_lock = lock
        self._lock: DataDirLock | None = None
        self._running: _Running | None = None

    def start(self) -> None:
        """Make what is missing, start the server and wait until it answers a query; nothing to do when it runs.

        Raises:
            Conflict: Another Aspora uses the data directory, or it holds data of another version.
            Forbidden: The folder, or root's database user, can't be used.
            Unavailable: The server did not start; the message has its last words.
            Timeout: It was not ready in time.
        """
        if self.is_running:
            return
        folder = prepare_data_dir(self._asked_dir, uid=os.geteuid())
        if self._lock is None and self._callers_lock is None:
            lock = DataDirLock(folder)
            lock.acquire()
            self._lock = lock
        try:
            with explained(folder):
                self._running = self._start_locked(folder)
        except BaseException:
            self._let_go()
            raise

    def stop(self) -> None:
        """Stop the server, gently first, and let go of the data directory; harmless when it does not run."""
        running, self._running = self._running, None
        if running is not None:
            self._end(running.process)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def ensure_running(self) -> bool:
        """Start the server again if it died; True when it had to be. Level-triggered: call it as often as you like."""
        if self.is_running:
            return False
        self.start()
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """True while the server process lives."""
        return self._running is not None and self._running.process.is_running

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._require().process.pid

    @property
    def log_path(self) -> Path:
        """Where the server's messages go."""
        return self._asked_dir.expanduser().resolve() / "postgres.log"

    @property
    def dsn(self) -> str:
        """How Aspora connects: an ordinary role that owns its database. Holds a password."""
        return self.dsn_for(DATABASE)

    @property
    def superuser_dsn(self) -> str:
        """How to administer the server: backups, tests. Holds a password."""
        return self.dsn_for("postgres", superuser=True)

    def dsn_for(self, database: str, *, superuser: bool = False) -> str:
        """The URL of any database of this server."""
        running = self._require()
        role = SUPERUSER if superuser else ROLE
        password = running.credentials.superuser if superuser else running.credentials.application
        return server_url(running.endpoint, role=role, password=password, database=database)

    def _require(self) -> _Running:
        if self._running is None:
            raise Unavailable("the embedded PostgreSQL is not running; start it first")
        return self._running

    def _start_locked(self, folder: Path) -> _Running:
        user = server_user(uid=os.geteuid(), name=self._os_user_name)
        cluster = Cluster(data_dir=folder, user=user)
        # Data of another version is refused before anything is touched: copies of its programs among the rest.
        is_made = cluster.is_made(self._binaries.major if self._binaries else MAJOR_VERSION)
        binaries = self._binaries or self._reachable_binaries(folder, user)
        sweep_scratch(cluster)
        credentials = load_credentials(cluster)
        if not is_made and isinstance(binaries, Binaries):
            self._progress("making the database (once)")
            create_cluster(cluster, binaries, credentials, sync=self._sync)
        deadline = time.monotonic() + self._start_timeout_seconds
        settle_orphan(cluster, deadline=deadline)
        endpoint = choose_endpoint(folder, user)
        command = self._command(binaries, cluster, endpoint)
        self._progress("starting the database")
        process = self._start_until(command, user, endpoint, credentials, deadline=deadline)
        return _Running(process=process, endpoint=endpoint, credentials=credentials)

    def _reachable_binaries(self, folder: Path, user: OsUser) -> Binaries:
        shipped = shipped_binaries()
        if os.geteuid() != ROOT_UID:
            return shipped
        closed = first_closed(folder, user)
        if closed is not None:
            raise Forbidden(
                f"folder {str(closed)!r} is closed to user {user.name!r}, who runs the database because PostgreSQL"
                f" refuses root; use --data-dir /var/lib/aspora (or any folder below open ones), or run as an"
                " ordinary user"
            )
        if shipped.usable_by(user):
            return shipped
        self._progress(f"copying PostgreSQL to where user {user.name} can run it (once)")
        return copied_binaries(shipped, _subfolder(folder, "runtime"))

    def _command(self, binaries: Binaries | InstalledBinaries, cluster: Cluster, endpoint: Endpoint) -> list[str]:
        settings = {
            **{name: value for name, value in self._settings.items() if binaries.major >= _SINCE.get(name, 0)},
            "hba_file": str(write_hba(cluster)),
            "listen_addresses": "" if endpoint.is_socket else endpoint.host,
            "port": str(endpoint.port),
            "unix_socket_directories": endpoint.host if endpoint.is_socket else "",
            "unix_socket_permissions": "0700",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(binaries.postgres), "-D", str(cluster.path), *options]

    def _start_until(
        self, command: list[str], user: OsUser, endpoint: Endpoint, credentials: Credentials, *, deadline: float
    ) -> ServerProcess:
        """Start, and again while what a crashed server left behind is still going away."""
        attempt = 0
        while True:
            process = ServerProcess(command, user=user, log=BoundedLog(self.log_path))
            try:
                if self._await_ready(process, endpoint, credentials, deadline=deadline):
                    return process
            except BaseException:
                self._end(process)
                raise
            delay = _START_BACKOFF.delay_seconds(attempt)
            said = process.tail()
            if not any(pattern in said for pattern in _TRANSIENT) or time.monotonic() + delay > deadline:
                raise explain_failure(f"the embedded PostgreSQL did not start (log: {self.log_path})", said)
            attempt += 1
            time.sleep(delay)

    def _await_ready(
        self, process: ServerProcess, endpoint: Endpoint, credentials: Credentials, *, deadline: float
    ) -> bool:
        """True once a query is answered and role and database are there; False when the process ended first."""
        while time.monotonic() < deadline:
            if process.wait(_READY_PROBE_SECONDS):
                return False
            try:
                with _connect(endpoint, credentials, database="template1") as connection:
                    if self._binaries is None:
                        _bootstrap(connection, credentials)
                return True
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise Conflict(
                        "the embedded PostgreSQL refuses its own password; restore the file postgres.credentials that"
                        " belongs to this data directory"
                    ) from error
        raise Timeout(
            f"the embedded PostgreSQL was not ready within {self._start_timeout_seconds:g} s (log: {self.log_path});"
            f" it may be recovering from a crash: try again\n{process.tail()}"
        )

    def _end(self, process: ServerProcess) -> None:
        steps = (
            (signal.SIGINT, self._stop_timeout_seconds),
            (signal.SIGQUIT, _QUIT_GRACE_SECONDS),
            (signal.SIGKILL, _QUIT_GRACE_SECONDS),
        )
        for number, grace_seconds in steps:
            process.signal(number)
            if process.wait(grace_seconds):
                return


def _connect(endpoint: Endpoint, credentials: Credentials, *, database: str) -> psycopg.Connection[tuple[object, ...]]:
    url = server_url(endpoint, role=SUPERUSER, password=credentials.superuser, database=database)
    return psycopg.connect(url, autocommit=True, connect_timeout=2)


def _bootstrap(connection: psycopg.Connection[tuple[object, ...]], credentials: Credentials) -> None:
    """Answer for a ready server: its role, extension and database are there, each made when missing.

    The extension goes into the template database, because only a superuser may make it; the database comes last, so
    that its presence means the rest is done.
    """
    found = connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone()
    if found is not None:
        return
    role = sql.Identifier(ROLE)
    if connection.execute("select from pg_roles where rolname = %s", [ROLE]).fetchone() is None:
        connection.execute(sql.SQL("create role {} login").format(role))
    # Hashed on this side: the password is in no statement.
    connection.pgconn.change_password(ROLE.encode(), credentials.application.encode())
    connection.execute("create extension if not exists vector")
    connection.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(DATABASE), role))


def server_url(endpoint: Endpoint, *, role: str, password: str, database: str) -> str:
    """How to connect to a database of a server. Holds the password."""
    if endpoint.is_socket:
        return f"postgresql://{role}:{password}@/{database}?host={quote(endpoint.host, safe='')}&port={endpoint.port}"
    return f"postgresql://{role}:{password}@{endpoint.host}:{endpoint.port}/{database}"


def _subfolder(folder: Path, name: str) -> Path:
    """A folder of ours that others may pass through."""
    path = folder / name
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)
    return path
