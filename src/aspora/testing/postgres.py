"""A real PostgreSQL for tests: one server for all test processes, one fresh migrated database a test.

The server belongs to a process of its own (`postgres_owner`), started by the first test process that asks. Each test
process holds a shared lock for as long as it lives; when the kernel has released the last one, the owner stops the
server and removes its folder. Databases are copied from a migrated template, which takes some milliseconds.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from aspora.db.data_dir import own_folder
from aspora.db.migrate import Migration, load_migrations, migrate
from aspora.db.pool import Database

OWNER_MODULE = "aspora.testing.postgres_owner"
READY_NAME = "ready.json"
START_LOCK_NAME = "start.lock"
USERS_LOCK_NAME = "users.lock"
LOG_NAME = "owner.log"
_MEMORY, _DISK = Path("/dev/shm"), Path("/tmp")
_ROOM_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class SharedPostgres:
    """The running server.

    Attributes:
        dsn: URL of Aspora's ordinary role; its database is empty and shared: use `database` instead.
        superuser_dsn: URL of the superuser.
        template: Name of the migrated template database.
    """

    dsn: str
    superuser_dsn: str
    template: str

    def create_database(self, *, template: str | None = None) -> str:
        """A fresh copy of the template (or of another database); its URL."""
        name = f"t_{uuid.uuid4().hex}"
        owner = urlsplit(self.dsn).username or ""
        command = sql.SQL("create database {} template {} owner {} strategy file_copy").format(
            sql.Identifier(name), sql.Identifier(template or self.template), sql.Identifier(owner)
        )
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            connection.execute(command)
        return _with_database(self.dsn, name)

    def drop_database(self, dsn: str) -> None:
        """Remove a database made by `create_database`, throwing out who is still connected."""
        name = urlsplit(dsn).path.removeprefix("/")
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, *, template: str | None = None) -> Generator[str]:
        """The URL of a fresh database that is gone afterwards; `template="template1"` gives an empty one."""
        dsn = self.create_database(template=template)
        try:
            yield dsn
        finally:
            self.drop_database(dsn)


@contextmanager
def shared_postgres(folder: Path | None = None) -> Generator[SharedPostgres]:
    """The server, started if nobody has yet, kept at least until the end of the block.

    Args:
        folder: Where its files lie and its users meet; None takes the one of this user and checkout.
    """
    folder = folder or _folder()
    with exclusive(folder / START_LOCK_NAME):
        dsn, superuser_dsn = _running(folder) or _start(folder)
        users = os.open(folder / USERS_LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        template = _ensure_template(dsn, superuser_dsn, load_migrations())
    try:
        yield SharedPostgres(dsn=dsn, superuser_dsn=superuser_dsn, template=template)
    finally:
        os.close(users)


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold a lock file that its last user may remove: taken only if the path still names what was locked."""
    while True:
        own_folder(path.parent, uid=os.geteuid())
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                yield
                return
        finally:
            os.close(descriptor)


def _folder() -> Path:
    """One folder for each user and checkout, where root's database user can reach it (pytest's own are closed)."""
    checkout = hashlib.sha256(os.fsencode(Path(__file__).resolve())).hexdigest()[:10]
    return fast_folder() / f"aspora-test-{os.geteuid()}-{checkout}"


def fast_folder() -> Path:
    """Where a test's server keeps its files: memory if there is plenty, for a cluster is a thousand small files."""
    try:
        memory = os.statvfs(_MEMORY)
    except FileNotFoundError:
        return _DISK
    roomy = memory.f_bavail * memory.f_frsize >= _ROOM_BYTES
    return _MEMORY if roomy and not memory.f_flag & os.ST_NOEXEC else _DISK


def _running(folder: Path) -> tuple[str, str] | None:
    """The URLs of the server when it answers."""
    try:
        ready = json.loads((folder / READY_NAME).read_text("utf-8"))
        with psycopg.connect(ready["superuser_dsn"], connect_timeout=5) as connection:
            connection.execute("select 1")
    except (FileNotFoundError, psycopg.OperationalError):
        return None
    return ready["dsn"], ready["superuser_dsn"]


def _start(folder: Path) -> tuple[str, str]:
    """Start the owner as a process that outlives this one, and wait for its word."""
    reading, writing = os.pipe()
    log = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", OWNER_MODULE, str(folder)],
            {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(writing)
        os.close(log)
    with os.fdopen(reading, "rb") as word:
        word.read(1)
    running = _running(folder)
    if running is None:
        raise RuntimeError(f"the test database did not start:\n{(folder / LOG_NAME).read_text('utf-8')}")
    return running


def _ensure_template(dsn: str, superuser_dsn: str, migrations: tuple[Migration, ...]) -> str:
    """The migrated template of exactly these migrations, made under the caller's lock when missing."""
    digest = hashlib.sha256("".join(m.checksum for m in migrations).encode()).hexdigest()[:16]
    name, scratch = f"template_{digest}", f"making_{digest}"
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is not None:
            return name
        owner = sql.Identifier(urlsplit(dsn).username or "")
        old, new = sql.Identifier(scratch), sql.Identifier(name)
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(old))
        connection.execute(sql.SQL("create database {} owner {}").format(old, owner))
        # A thread of its own: the caller may stand inside a running event loop.
        with ThreadPoolExecutor(max_workers=1) as pool:
            pool.submit(lambda: asyncio.run(_migrate(_with_database(dsn, scratch), migrations))).result()
        connection.execute(sql.SQL("alter database {} rename to {}").format(old, new))
        connection.execute(sql.SQL("alter database {} with allow_connections false").format(new))
    return name


async def _migrate(dsn: str, migrations: tuple[Migration, ...]) -> None:
    async with await Database.open(dsn, max_size=1) as database:
        await migrate(database, migrations)


def _with_database(dsn: str, name: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()
