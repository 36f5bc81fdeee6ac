"""What /proc tells about processes: who descends from whom, what they use, how they stand."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class TreeUse:
    """What processes use now: their threads, and resident bytes (a page they share counts for each)."""

    tasks: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Stand:
    """How a process stands: its short name, its state's letter, its parent (0 above the first)."""

    name: str
    state: str
    parent: int

    @property
    def has_ended(self) -> bool:
        """Whether only its parent has yet to take note."""
        return self.state in {"Z", "X"}

    @property
    def is_stopped(self) -> bool:
        """Whether a signal keeps it from running."""
        return self.state == "T"


def stand(pid: int) -> Stand:
    """How a process stands now.

    Raises:
        ProcessLookupError: There is none.
    """
    try:
        head, _, tail = _read(f"/proc/{pid}/stat").rpartition(")")
    except FileNotFoundError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    state, parent = tail.split()[:2]
    return Stand(name=head.partition("(")[2], state=state, parent=int(parent))


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
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == uid:
                tasks += len(os.listdir(f"/proc/{pid}/task"))
    return tasks


def pids_of_user(uid: int) -> list[int]:
    """Processes whose real, effective or saved user is `uid`."""
    return [pid for pid in all_pids() if str(uid) in _uids(pid)]


def is_of_user(pid: int, uid: int) -> bool:
    """Whether it is a live process whose real, effective or saved user is `uid`."""
    try:
        return str(uid) in _uids(pid) and not stand(pid).has_ended
    except ProcessLookupError:
        return False


def all_pids() -> Iterator[int]:
    """Every process that can be seen."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in _read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def _uids(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith("Uid:"):
                return line.split()[1:4]
    return []


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
