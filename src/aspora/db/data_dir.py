"""The data directory: where it is, who may use it, and the lock that keeps it to one Aspora at a time.

Standard library only, so that the CLI can find the folder without loading a database driver. No function here changes
the mode or owner of a folder that was there before.
"""

import errno
import fcntl
import os
import pwd
import shlex
import stat
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aspora.db.os_user import ROOT_UID, OsUser
from aspora.meta.errors import Conflict, Forbidden, StatusError, Unavailable

SYSTEM_DATA_DIR = Path("/var/lib/aspora")
LOCK_NAME = "aspora.lock"
_BEFORE_THE_LOCK = frozenset({"demo", "aspora.log"})
"""What Aspora itself may put into a data directory before it first takes the lock."""
_LOCK_ATTEMPTS = 7
_LOCK_PAUSE_SECONDS = 0.05
_WAY_OUT = "choose another folder with --data-dir or ASPORA_DATA_DIR"


def default_data_dir(environ: Mapping[str, str], *, uid: int) -> Path:
    """`/var/lib/aspora` for root; else `$XDG_DATA_HOME/aspora` or `~/.local/share/aspora`.

    Source: XDG Base Directory Specification 0.8; a relative `XDG_DATA_HOME` is ignored, as it asks.

    Raises:
        Unavailable: The user has neither `HOME` nor an account.
    """
    if uid == ROOT_UID:
        return SYSTEM_DATA_DIR
    chosen = Path(environ.get("XDG_DATA_HOME", ""))
    if chosen.is_absolute():
        return chosen / "aspora"
    home = environ.get("HOME") or _home_of(uid)
    if home is None:
        raise Unavailable(f"no home folder is known for user id {uid}; set HOME, or {_WAY_OUT}")
    return Path(home) / ".local" / "share" / "aspora"


def _home_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return None


def prepare_data_dir(path: Path, *, uid: int) -> Path:
    """Make the folder when it is missing, check that it is ours and mark it as such; returns it resolved.

    Raises:
        Forbidden: Another user owns it, or it can't be made for want of permission.
        Conflict: It holds files of somebody else: Aspora wants a folder of its own.
        Unavailable: It can't be made for another reason: a file in its place, a read-only or full disk.
    """
    folder = own_folder(path, uid=uid)
    _require_no_strangers(folder)
    with explained(path):
        # The lock's file is the mark, left before anything else: whatever comes first (`run`, `up`) may put its things
        # into the folder, and the next command knows it again.
        os.close(_open_lock(folder))
    return folder


def check_data_dir(path: Path, *, uid: int) -> Path | None:
    """The folder, resolved, when it is one that this user could use; None when there is none yet. Makes nothing.

    Raises:
        Forbidden: Another user owns it, or it can't be looked into.
        Conflict: It holds files of somebody else.
        Unavailable: There is a file in its place.
    """
    with explained(path):
        folder = path.expanduser().resolve()
        if not folder.exists():
            return None
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _require_owner(folder, uid=uid)
    _require_no_strangers(folder)
    return folder


def _require_no_strangers(folder: Path) -> None:
    with explained(folder):
        strangers = _strangers(folder)
    if strangers:
        shown = ", ".join(strangers[:3]) + (" …" if len(strangers) > 3 else "")
        raise Conflict(
            f"folder {str(folder)!r} is not empty and not a data directory of Aspora (it holds {shown});"
            f" name a new or empty folder with --data-dir or ASPORA_DATA_DIR"
        )


def exposure(folder: Path) -> str:
    """What is wrong with the mode of a folder that others may write, and what would do; "" when nothing is."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & (stat.S_IWGRP | stat.S_IWOTH):
        return ""
    return (
        f"data directory {str(folder)!r} can be written by others (mode {mode:04o}): they could replace keys and data;"
        f" close it: chmod go-w {shlex.quote(str(folder))}"
    )


def own_folder(path: Path, *, uid: int) -> Path:
    """Make a folder when it is missing and check that it is ours; returns it resolved.

    As root a new folder gets mode 0711, so that the database's own user can pass through; else 0700.

    Raises:
        Forbidden: Another user owns it, or it can't be made for want of permission.
        Unavailable: It can't be made for another reason: a file in its place, a read-only or full disk.
    """
    with explained(path):
        folder = path.expanduser().resolve()
        _make(folder, uid=uid)
    _require_owner(folder, uid=uid)
    return folder


def _require_owner(folder: Path, *, uid: int) -> None:
    owner = folder.stat().st_uid
    if owner != uid:
        raise Forbidden(
            f"data directory {str(folder)!r} belongs to user {user_name(owner)!r} and Aspora runs as"
            f" {user_name(uid)!r}; run it as {user_name(owner)!r}, or {_WAY_OUT}"
        )


def _open_lock(folder: Path) -> int:
    path = folder / LOCK_NAME
    handle = _open_plain(path, os.O_RDWR | os.O_CREAT)
    owner = os.fstat(handle).st_uid
    if owner != os.geteuid():
        os.close(handle)
        raise Forbidden(
            f"the lock file {str(path)!r} belongs to user {user_name(owner)!r} and Aspora runs as"
            f" {user_name(os.geteuid())!r}; remove it, or {_WAY_OUT}"
        )
    return handle


def _open_plain(path: Path, flags: int) -> int:
    """Open the lock's file and nothing else: no link is followed, and a pipe in its place keeps nobody waiting.

    Raises:
        Forbidden: Something else than a plain file is there.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise _no_plain_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_plain_file(path)
    return handle


def _no_plain_file(path: Path) -> Forbidden:
    return Forbidden(
        f"the lock file {str(path)!r} is no plain file (a link, a folder or a pipe) and is not used; remove it, or"
        f" {_WAY_OUT}"
    )


def _strangers(folder: Path) -> list[str]:
    """What lies in a folder that no Aspora has used yet."""
    names = {entry.name for entry in folder.iterdir()}
    return [] if LOCK_NAME in names else sorted(names - _BEFORE_THE_LOCK)


def _make(folder: Path, *, uid: int) -> None:
    missing = [folder, *folder.parents]
    while missing and missing[-1].exists():
        missing.pop()
    for part in reversed(missing):
        with suppress(FileExistsError):
            part.mkdir()
            if uid == ROOT_UID:
                part.chmod(0o711 if part == folder else 0o755)
            elif part == folder:
                part.chmod(0o700)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def explain(error: OSError, path: Path) -> StatusError:
    """An operating-system error about the data directory, with its way out."""
    place = error.filename or str(path)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Forbidden(
            f"can't use data directory {str(path)!r}: no permission for {place!r}; {_as_its_owner(path)}{_WAY_OUT}"
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Unavailable(f"can't use data directory {str(path)!r}: the disk is full; free some space or {_WAY_OUT}")
    return Unavailable(f"can't use data directory {str(path)!r}: {error.strerror} ({place!r}); {_WAY_OUT}")


def _as_its_owner(path: Path) -> str:
    """`run this as user 'x', or `, where the folder is another user's and that can be seen."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    return "" if owner == os.geteuid() else f"run this as its owner {user_name(owner)!r}, or "


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn the operating-system errors of a block that works in the data directory into Aspora's."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def first_closed(path: Path, user: OsUser) -> Path | None:
    """The first folder on the way to `path` (the last part included) that `user` can't enter or read; None if none."""
    for part in reversed([path, *path.parents]):
        status = part.stat()
        needed = stat.S_IXOTH if part.is_dir() else stat.S_IROTH
        if status.st_uid == user.uid:
            needed <<= 6
        elif status.st_gid == user.gid:
            needed <<= 3
        if not status.st_mode & needed:
            return part
    return None


def user_name(uid: int) -> str:
    """The account's name, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def lock_is_held(folder: Path) -> bool:
    """Whether some Aspora uses the data directory now; the lock, unlike a process id, never lies.

    Raises:
        Forbidden: Something else than a plain file is in the lock's place, or this user may not look.
    """
    try:
        handle = _open_plain(folder / LOCK_NAME, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise explain(error, folder) from None
    try:
        # Shared, so that those who only ask do not disturb each other; `DataDirLock` waits an instant for them.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class DataDirLock:
    """Holds the data directory for this process; the kernel lets go when the process ends, however it ends.

    Args:
        folder: The data directory.
        sleep: Waits so many seconds.
    """

    def __init__(self, folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._folder = folder
        self._sleep = sleep
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the folder; waits up to 0.3 s, since whoever asks whether it is taken holds the lock for an instant.

        Raises:
            Conflict: Another process holds it; the message has its pid.
            Forbidden: The folder is not writable, or what is in the lock's place is not a plain file of ours.
        """
        if self._descriptor is not None:
            return
        with explained(self._folder):
            descriptor = _open_lock(self._folder)
        try:
            self._lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                f"data directory {str(self._folder)!r} is already in use by pid {holder};"
                f" stop that Aspora (aspora down --data-dir {shlex.quote(str(self._folder))}), or {_WAY_OUT}"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise explain(error, self._folder) from error
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        for _ in range(_LOCK_ATTEMPTS - 1):
            with suppress(BlockingIOError):
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sleep(_LOCK_PAUSE_SECONDS)
        return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
