"""The files of a PostgreSQL cluster: made once by initdb, guarded by passwords, cleared of a dead server's traces."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aspora.db.binaries import MAJOR_VERSION, Binaries
from aspora.db.data_dir import user_name
from aspora.db.os_user import OsUser
from aspora.db.server_process import run_to_end
from aspora.meta.errors import Conflict, Forbidden, StatusError, Timeout, Unavailable

SUPERUSER = "postgres"
_INITDB_TIMEOUT_SECONDS = 180.0
_ROOM_FOR_NEW_CLUSTER_BYTES = 200_000_000
_ORPHAN_PROBE_SECONDS = 0.05
_SECRET_BYTES = 24
_SCRATCH_PREFIX = "postgres.new-"
_HBA = """\
# Written by Aspora at each start. Nobody comes in without a password.
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords of a cluster: of its superuser, and of the role Aspora works as."""

    superuser: str = field(repr=False)
    application: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's place on disk.

    Attributes:
        data_dir: Aspora's data directory.
        user: Who owns the cluster's files and runs the server.
    """

    data_dir: Path
    user: OsUser

    @property
    def path(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data_dir / "postgres"

    @property
    def credentials_path(self) -> Path:
        """The file with the passwords, readable by Aspora's user alone."""
        return self.data_dir / "postgres.credentials"

    def is_made(self, major: int = MAJOR_VERSION) -> bool:
        """True when there is a cluster that a server of that version can run.

        Raises:
            Forbidden: Another user owns it.
            Conflict: The folder holds something else, or another version's data; or an upgrade was broken off.
        """
        if not self.path.exists():
            if former := self.former_paths():
                raise Conflict(
                    f"an upgrade of the database was broken off ({str(former[-1])!r} is there and {str(self.path)!r} is"
                    " not); finish it: aspora upgrade-database"
                )
            return False
        owner = self.path.stat().st_uid
        if owner != self.user.uid:
            raise Forbidden(
                f"{str(self.path)!r} belongs to user {user_name(owner)!r}, and the database must run as"
                f" {user_name(self.user.uid)!r}; run Aspora as the user who made it, or choose another --data-dir"
            )
        version = self.version()
        if version != str(major):
            raise Conflict(
                f"{str(self.path)!r} holds {f'data of PostgreSQL {version}' if version else 'no PostgreSQL data'} and"
                f" this Aspora ships PostgreSQL {major}; {_way_over(version, major)}"
            )
        return True

    def former_paths(self) -> list[Path]:
        """Clusters of older versions that an upgrade has put aside, oldest version first."""
        found = [path for path in self.data_dir.glob("postgres-*") if path.name.partition("-")[2].isdecimal()]
        return sorted(found, key=lambda path: int(path.name.partition("-")[2]))

    def version(self) -> str | None:
        """Major version of the data there; None when it is none of PostgreSQL's."""
        try:
            return (self.path / "PG_VERSION").read_text("ascii").strip()
        except FileNotFoundError:
            return None


def _way_over(version: str | None, major: int) -> str:
    """What would do with data of another version."""
    if version is None or not version.isdecimal():
        return "move it away, or choose another --data-dir"
    if int(version) > major:
        return "use the newer Aspora that made it, or choose another --data-dir"
    return (
        "bring it over with: aspora upgrade-database (or make a backup with the Aspora that made it: aspora backup"
        " FILE, and restore that into a new data directory with this one)"
    )


def load_credentials(cluster: Cluster) -> Credentials:
    """The passwords of a cluster; for one that is still to be made, new ones are made and kept.

    Raises:
        Conflict: The cluster is there and its passwords are gone or unreadable.
    """
    path = cluster.credentials_path
    if not path.exists() and not cluster.is_made():
        _write_private(path, json.dumps(asdict(_new_credentials())))
    try:
        return Credentials(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Conflict(
            f"the database's password file {str(path)!r} is missing or broken; restore it from a backup, or move"
            f" {str(cluster.path)!r} away to start empty"
        ) from error


def _new_credentials() -> Credentials:
    return Credentials(superuser=secrets.token_urlsafe(_SECRET_BYTES), application=secrets.token_urlsafe(_SECRET_BYTES))


def create_cluster(cluster: Cluster, binaries: Binaries, credentials: Credentials, *, sync: bool = True) -> None:
    """Run initdb beside the final place and rename: a cluster that is there is whole, whatever interrupted this.

    Raises:
        Unavailable: initdb failed; the message has its last words.
        Timeout: It took too long.
        OSError: The data directory can't be written.
    """
    _check_room(cluster.data_dir)
    secret_path = cluster.data_dir / "postgres.initdb-password"
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=cluster.data_dir))
    try:
        _write_private(secret_path, credentials.superuser, owner=cluster.user)
        if os.geteuid() != cluster.user.uid:
            os.chown(scratch, cluster.user.uid, cluster.user.gid)
        _run_initdb(scratch, secret_path, binaries, cluster.user, sync=sync)
        scratch.rename(cluster.path)
    finally:
        secret_path.unlink(missing_ok=True)


def sweep_scratch(cluster: Cluster) -> None:
    """Remove what interrupted makings left; a dying initdb may still write there: the rest waits for next time."""
    for leftover in cluster.data_dir.glob(f"{_SCRATCH_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_room(data_dir: Path) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < _ROOM_FOR_NEW_CLUSTER_BYTES:
        raise Unavailable(
            f"only {free // 1_000_000} MB are free for data directory {str(data_dir)!r} and a new database takes"
            f" {_ROOM_FOR_NEW_CLUSTER_BYTES // 1_000_000} MB; free some space or choose another --data-dir"
        )


def _run_initdb(target: Path, secret_path: Path, binaries: Binaries, user: OsUser, *, sync: bool) -> None:
    arguments = [
        f"--pgdata={target}",
        f"--username={SUPERUSER}",
        f"--pwfile={secret_path}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        *([] if sync else ["--no-sync"]),
    ]
    try:
        status, said = run_to_end([str(binaries.initdb), *arguments], user, timeout_seconds=_INITDB_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise Timeout(f"making the database took over {_INITDB_TIMEOUT_SECONDS:g} s; is the disk overloaded?") from None
    if status != 0:
        raise explain_failure("the database could not be made", said)


def write_hba(cluster: Cluster) -> Path:
    """Put the access rules in place; returns their file."""
    path = cluster.path / "pg_hba.conf"
    if path.read_text("utf-8") != _HBA:
        _write_private(path, _HBA, owner=cluster.user)
    return path


def settle_orphan(cluster: Cluster, *, deadline: float, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Wait for a former server of this cluster to end, asking it to; forget a pid file whose pid is somebody else now.

    The caller holds the data directory's lock, so a running server here is one whose Aspora died.

    Raises:
        Timeout: It is still there at the deadline.
    """
    pid_path = cluster.path / "postmaster.pid"
    asked = False
    while (pid := _recorded_pid(pid_path)) is not None:
        if not _is_alive(pid):
            return
        if not _serves(pid, cluster.path):
            pid_path.unlink(missing_ok=True)
            return
        if not asked:
            asked = True
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        if monotonic() > deadline:
            raise Timeout(
                f"a former database server (pid {pid}) on {str(cluster.path)!r} does not end; stop it by hand"
            )
        time.sleep(_ORPHAN_PROBE_SECONDS)


def _recorded_pid(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, path: Path) -> bool:
    """True when the process works in the cluster's folder, as a postmaster does; without /proc, suppose it does."""
    if not Path("/proc/self/cwd").exists():
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(path)
    except OSError:
        return False


_ADVICE: tuple[tuple[str, str], ...] = (
    ("could not create shared memory", "shared memory is full or forbidden; enlarge /dev/shm"),
    ("could not resize shared memory", "shared memory is full; enlarge /dev/shm"),
    ("could not map anonymous shared memory", "memory is short; free some"),
    ("Cannot allocate memory", "memory is short; free some"),
    ("No space left on device", "the disk is full; free some space"),
    ("Read-only file system", "the disk is read-only; choose another --data-dir"),
    ("Permission denied", "a file can't be read or written by the database's user; see the lines below"),
    (
        "could not look up effective user ID",
        "this user id has no account; add one to /etc/passwd, or set ASPORA_DATABASE_URL",
    ),
    ("can't become uid", "root here may not change users; run Aspora as an ordinary user"),
    ("can't run", "the programs can't be executed there; is the disk mounted noexec?"),
    ("incompatible with server", "the data was made by another version; choose another --data-dir"),
    ("could not bind", "the address is taken; stop what uses it"),
)


def explain_failure(what: str, said: str) -> StatusError:
    """An `Unavailable` with the likely cause and the program's last words."""
    advice = next((text for pattern, text in _ADVICE if pattern in said), "see its last words")
    last = "\n".join(f"  {line}" for line in said.strip().splitlines()[-12:]) or "  (it said nothing)"
    return Unavailable(f"{what}: {advice}\n{last}")


def _write_private(path: Path, text: str, *, owner: OsUser | None = None) -> None:
    """Replace a file at once, mode 0600 from its first moment."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    if owner is not None and os.geteuid() != owner.uid:
        os.chown(scratch, owner.uid, owner.gid)
    scratch.replace(path)
