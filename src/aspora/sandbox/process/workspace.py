"""Where work copies live and which users jobs become, claimed with locks that the kernel frees when the holder dies.

Each driver has a folder of its own under the work folder, beside a lock file. Supervisors inherit the lock, so it is
free only when all of them are gone; the next driver to start then removes the folder. A user id is claimed by binding
an abstract socket named after it, for the same reason: no file is left, and a supervisor keeps the claim to its end.
"""

import contextlib
import fcntl
import os
import pwd
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aspora.meta.errors import Unavailable
from aspora.sandbox.process import procfs, strays, tree

PASSAGE_MODE = 0o711
"""Others may pass through, not list: a job reaches its own folder below."""


WAY_OUT = (
    "choose a data folder whose parent folders others may enter (such as one under /var/lib),"
    " or run as an ordinary user"
)


@dataclass(frozen=True, slots=True)
class Place:
    """One slot's folder and user.

    Attributes:
        folder: For its work copies.
        uid: The user its jobs become; None when not root.
        claim: The socket that claims the user.
    """

    folder: Path
    uid: int | None
    claim: socket.socket | None

    def lock_fds(self) -> list[int]:
        """Descriptors that the supervisor inherits to hold the claim."""
        return [] if self.claim is None else [self.claim.fileno()]


class Workspace:
    """This driver's part of the work folder. Blocking; call it off the event loop.

    Args:
        work_dir: Shared by all drivers of this machine that are given it; made if missing.
        name: Unique name for this driver's folder.
        uids: Users that jobs may become; None when not root.
    """

    def __init__(self, *, work_dir: Path, name: str, uids: Sequence[int] | None) -> None:
        self._work_dir = work_dir
        self.folder = work_dir / name
        self._lock_path = work_dir / f"{name}.lock"
        self._lock_fd: int | None = None
        self._uids = uids
        self._places: list[Place] = []

    def open(self) -> None:
        """Remove what dead drivers left, then make and lock this one's folder.

        Raises:
            Unavailable: The work folder can't be made or written.
        """
        try:
            if not self._work_dir.exists():
                self._work_dir.mkdir(parents=True)
                self._work_dir.chmod(PASSAGE_MODE)
            if self._uids is not None and (closed := closed_folder(self._work_dir)):
                raise Unavailable(
                    f"handlers run as users of their own, which can't enter {str(closed)!r}"
                    f" on the way to the work folder; {WAY_OUT}"
                )
            self._sweep()
            self._lock_fd = _take_lock(self._lock_path)
            _make_passage(self.folder)
        except OSError as problem:
            raise Unavailable(
                f"the sandbox's work folder {str(self._work_dir)!r} can't be used: {problem.strerror};"
                " name one that this user can write"
            ) from problem

    def new_place(self) -> Place:
        """A folder and a user for one more slot.

        Raises:
            Unavailable: No user of the range is free.
        """
        uid, claim = (None, None) if self._uids is None else self._claim_uid(self._uids)
        place = Place(folder=self.folder / f"slot-{len(self._places)}", uid=uid, claim=claim)
        _make_passage(place.folder)
        self._places.append(place)
        return place

    def lock_fds(self) -> list[int]:
        """Descriptors that every supervisor inherits to keep this folder from being swept."""
        return [] if self._lock_fd is None else [self._lock_fd]

    def close(self) -> None:
        """Remove this driver's folder and give up its claims. All supervisors must have ended."""
        for place in self._places:
            if place.claim is not None:
                place.claim.close()
        self._places.clear()
        if self._lock_fd is not None:
            tree.remove_tree(str(self.folder))
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock_fd)
            self._lock_fd = None

    def _sweep(self) -> None:
        for lock_path in sorted(self._work_dir.glob("*.lock")):
            try:
                fd = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
            except (FileNotFoundError, PermissionError):
                continue  # swept by another driver just now, or another user's
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # alive
            else:
                left = lock_path.with_suffix("")
                strays.end_those_in(left)
                tree.remove_tree(str(left))
                lock_path.unlink(missing_ok=True)
            finally:
                os.close(fd)

    def _claim_uid(self, uids: Sequence[int]) -> tuple[int, socket.socket]:
        for uid in uids:
            if _has_owner(uid):
                continue
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            with contextlib.suppress(OSError):
                claim.bind(f"\0aspora-sandbox-uid-{uid}")
                if not procfs.pids_of_user(uid):
                    return uid, claim
            claim.close()
        raise Unavailable(
            f"no user id of the sandbox's range {uids[0]}-{uids[-1]} is free; widen it, or stop what uses it"
        )


def closed_folder(path: Path) -> Path | None:
    """The first folder on the way to `path`, itself included, that others may not enter."""
    return next((folder for folder in (*reversed(path.parents), path) if not folder.stat().st_mode & 0o001), None)


def _take_lock(path: Path) -> int:
    """Create and lock a file, even when a sweeping driver takes it for a dead one's in between."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(fd).st_ino:
            return fd
        os.close(fd)


def _make_passage(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(PASSAGE_MODE)


def _has_owner(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
