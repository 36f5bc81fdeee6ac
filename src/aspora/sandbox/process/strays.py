"""Processes that outlived the supervisor which held them: how to know them, and their end.

They are nobody's descendants any more. As root a slot's user gives them away. An ordinary user's jobs share the user
with all else, so each process of a job carries a brand besides: a resource limit that whatever it starts inherits and
that nothing without privileges can raise.

Source: getrlimit(2), pidfd_send_signal(2).
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from aspora.sandbox.process import procfs

SUPERVISOR_NAME = "aspora-sandbox"
BRAND_BYTES = 48_271
"""Hard limit on POSIX message queues of every job: a number that nobody else asks for."""


def end_those_in(folder: Path, *, patience_seconds: float = 5.0) -> None:
    """Kill the processes that work inside `folder` or were started with a HOME there, and wait until none is left.

    Raises:
        TimeoutError: Some would not go.
    """
    _end_all(lambda pid: _is_in(pid, folder), what=f"of {str(folder)!r}", patience_seconds=patience_seconds)


def end_those_of(uid: int, *, patience_seconds: float = 5.0) -> None:
    """Kill the processes of a user that is a sandbox's own, and wait until none is left.

    Raises:
        TimeoutError: Some would not go.
    """
    _end_all(lambda pid: procfs.is_of_user(pid, uid), what=f"of user {uid}", patience_seconds=patience_seconds)


def end_those_without_supervisor(*, patience_seconds: float = 5.0) -> None:
    """Kill this user's processes that carry the brand and descend from no supervisor, and wait until none is left.

    Raises:
        TimeoutError: Some would not go.
    """
    if not _is_branded(os.getpid()):  # as it would be inside a job: then all carry it
        _end_all(_has_no_supervisor, what="without a supervisor", patience_seconds=patience_seconds)


def _end_all(is_stray: Callable[[int], bool], *, what: str, patience_seconds: float) -> None:
    give_up = time.monotonic() + patience_seconds
    while _kill_all(is_stray):
        if time.monotonic() > give_up:
            raise TimeoutError(f"processes {what} are still there {patience_seconds} s after they were killed")
        time.sleep(0.002)


def _kill_all(is_stray: Callable[[int], bool]) -> int:
    found = 0
    for pid in procfs.all_pids():
        if pid == os.getpid() or not is_stray(pid):
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if is_stray(pid):  # still the same process: the handle pins it
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    found += 1
            finally:
                os.close(handle)
    return found


def _is_in(pid: int, folder: Path) -> bool:
    prefix = f"{folder}{os.sep}"
    try:
        if os.readlink(f"/proc/{pid}/cwd").startswith(prefix):
            return True
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return any(entry.startswith(b"HOME=" + os.fsencode(prefix)) for entry in environ.read().split(b"\0"))
    except OSError:
        return False


def _has_no_supervisor(pid: int) -> bool:
    """Whether its next ancestor without the brand, which no job can have made, is something else."""
    try:
        if not _is_branded(pid) or procfs.stand(pid).has_ended:
            return False
        while _is_branded(pid):
            pid = procfs.stand(pid).parent
        return procfs.stand(pid).name != SUPERVISOR_NAME
    except ProcessLookupError:
        return False  # one of them has just ended; the next look finds the others under another parent


def _is_branded(pid: int) -> bool:
    try:
        return resource.prlimit(pid, resource.RLIMIT_MSGQUEUE)[1] == BRAND_BYTES
    except PermissionError:
        return False  # another user's
