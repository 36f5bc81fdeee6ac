"""What /proc tells about processes: who descends from whom, what they use, which of them belong to a folder."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class TreeUse:
    """What processes use now: their threads, and resident bytes (a page they share counts for each)."""

    tasks: int
    rss_bytes: int


def descendants(root_pid: int) -> list[int]:
    """All processes below `root_pid`, parents first. A snapshot: a process that forks meanwhile may be missed."""
    found: list[int] = []
    queue = [root_pid]
    while queue:
        children = _children(queue.pop(0))
        found += children
        queue += children
    return found


def tree_use(pids: list[int]) -> TreeUse:
    """What these processes use; those that have ended count nothing."""
    tasks = rss_bytes = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            tasks += len(os.listdir(f"/proc/{pid}/task"))
            rss_bytes += int(_read(f"/proc/{pid}/statm").split()[1]) * PAGE_BYTES
    return TreeUse(tasks=tasks, rss_bytes=rss_bytes)


def proportional_bytes(pids: list[int]) -> int | None:
    """Resident bytes with each shared page divided among its users: exact and slow; None when not allowed to look."""
    total = 0
    for pid in pids:
        try:
            rollup = _read(f"/proc/{pid}/smaps_rollup")
        except PermissionError:
            return None
        except OSError:
            continue  # it has ended
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def count_user_tasks(uid: int) -> int:
    """Threads of all processes that belong to a user, as far as this process can see."""
    tasks = 0
    for pid in _all_pids():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == uid:
                tasks += len(os.listdir(f"/proc/{pid}/task"))
    return tasks


def pids_of_user(uid: int) -> list[int]:
    """Processes whose real, effective or saved user is `uid`."""
    return [pid for pid in _all_pids() if str(uid) in _uids(pid)]


def end_all_belonging_to(folder: Path, *, patience_seconds: float = 5.0) -> None:
    """Kill the processes that work inside `folder` or were started with a HOME there, and wait until none is left.

    For the remains of a supervisor that died: they are nobody's descendants any more.

    Raises:
        TimeoutError: Some would not go.
    """
    give_up = time.monotonic() + patience_seconds
    while _kill_belonging_to(folder):
        if time.monotonic() > give_up:
            raise TimeoutError(
                f"processes of {str(folder)!r} are still there {patience_seconds} s after they were killed"
            )
        time.sleep(0.002)


def _kill_belonging_to(folder: Path) -> int:
    found = 0
    for pid in _all_pids():
        if pid == os.getpid() or not _belongs(pid, folder):
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if _belongs(pid, folder):  # still the same process: the handle pins it
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    found += 1
            finally:
                os.close(handle)
    return found


def _belongs(pid: int, folder: Path) -> bool:
    prefix = f"{folder}{os.sep}"
    try:
        if os.readlink(f"/proc/{pid}/cwd").startswith(prefix):
            return True
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return any(entry.startswith(b"HOME=" + os.fsencode(prefix)) for entry in environ.read().split(b"\0"))
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in _read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def _all_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _uids(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith("Uid:"):
                return line.split()[1:4]
    return []


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
