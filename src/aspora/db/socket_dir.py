"""Where the embedded server listens: a Unix socket in a private folder, or loopback where sockets don't work."""

import hashlib
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aspora.db.os_user import ROOT_UID, OsUser
from aspora.meta.errors import Forbidden

PORT = 5432
LOOPBACK = "127.0.0.1"
_LONGEST_SOCKET_PATH_BYTES = 107
_PROBE_NAME = ".probe"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect: `host` is a folder for a Unix socket (an absolute path) or an address."""

    host: str
    port: int

    @property
    def is_socket(self) -> bool:
        """True for a Unix socket."""
        return self.host.startswith("/")


def choose_endpoint(data_dir: Path, user: OsUser) -> Endpoint:
    """A socket in `<data_dir>/run`; in a short folder if that path is too long or its disk has no sockets; else TCP.

    Raises:
        Forbidden: The short folder's name is taken by somebody else.
    """
    for folder in (data_dir / "run", short_dir(data_dir, user)):
        path = folder / f".s.PGSQL.{PORT}"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH_BYTES and _can_hold_sockets(folder, user):
            return Endpoint(host=str(folder), port=PORT)
    return Endpoint(host=LOOPBACK, port=_free_port())


def short_dir(data_dir: Path, user: OsUser) -> Path:
    """The private folder of a data directory whose path is too long: always the same one."""
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    root = Path("/run") if os.geteuid() == ROOT_UID and os.access("/run", os.W_OK) else Path("/tmp")
    return root / f"aspora-{user.uid}-{digest}"


def _can_hold_sockets(folder: Path, user: OsUser) -> bool:
    _make_private(folder, user)
    probe = folder / _PROBE_NAME
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(probe))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink()
    return True


def _make_private(folder: Path, user: OsUser) -> None:
    try:
        folder.mkdir(mode=0o700)
        if os.geteuid() != user.uid:
            os.chown(folder, user.uid, user.gid)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != user.uid or status.st_mode & 0o077:
            raise Forbidden(
                f"folder {str(folder)!r} for the database's socket must be a private folder (mode 0700) of user"
                f" {user.name!r}; remove it, or choose another data directory with --data-dir"
            ) from None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port
