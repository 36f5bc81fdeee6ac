"""What the files under some paths look like now, and which of them change: by polling, so that it works everywhere."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

POLL_SECONDS = 0.5
IGNORED_FOLDERS = frozenset({".git", "__pycache__", ".pytest_cache", ".venv", "node_modules"})

Snapshot = Mapping[str, tuple[int, int]]
"""Path → modification time (ns) and size."""


def snapshot(paths: Sequence[str]) -> Snapshot:
    """The state of every file under the paths; what vanishes meanwhile is left out."""
    found: dict[str, tuple[int, int]] = {}
    for path in paths:
        for name in _files(path):
            try:
                status = os.stat(name, follow_symlinks=False)
            except FileNotFoundError:
                continue
            found[name] = status.st_mtime_ns, status.st_size
    return found


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if name not in IGNORED_FOLDERS]
        yield from (os.path.join(folder, name) for name in files)


def changes(paths: Sequence[str], *, since: Snapshot, sleep: Callable[[float], None]) -> Iterator[str]:
    """Yield the name of a changed file whenever files have changed and then stayed the same for one look.

    Args:
        since: What is known already; taken before it was read, so that no edit falls between.
        sleep: Waits between looks.
    """
    settled, latest = since, snapshot(paths)
    while True:
        sleep(POLL_SECONDS)
        now = snapshot(paths)
        if now == latest != settled:
            changed = sorted(name for name in {*now, *settled} if now.get(name) != settled.get(name))
            settled = now
            yield changed[0] if len(changed) == 1 else f"{changed[0]} and {len(changed) - 1} more"
        latest = now
