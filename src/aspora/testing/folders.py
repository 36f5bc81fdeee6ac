"""Folders for tests that must lie outside pytest's own, which are closed to other users."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

REMOVE_SECONDS = 10.0
PROBE_SECONDS = 0.05


def _nothing(_folder: Path) -> None:
    """There is nothing to end."""


@contextmanager
def throwaway_folder(
    kind: str, *, parent: Path, mode: int = 0o711, end: Callable[[Path], None] = _nothing
) -> Generator[Path]:
    """A folder `aspora-<kind>-<pid>-…` that is gone afterwards, whatever happened inside the block.

    What test processes that were killed left behind is removed first.

    Args:
        kind: A word for its name.
        parent: Where it lies.
        mode: Its permissions.
        end: Ends what may still run in the folder; called before it is removed.
    """
    for left in parent.glob(f"aspora-{kind}-*-*"):
        if not _owner_lives(left):
            _remove(left, end)
    folder = parent / f"aspora-{kind}-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir()
    folder.chmod(mode)
    try:
        yield folder
    finally:
        _remove(folder, end)


def _owner_lives(folder: Path) -> bool:
    pid = folder.name.split("-")[-2]
    return not pid.isdigit() or Path(f"/proc/{pid}").exists()


def _remove(folder: Path, end: Callable[[Path], None]) -> None:
    """Remove it; processes that are just ending may still write to it for a moment."""
    try:
        end(folder)
    finally:
        deadline = time.monotonic() + REMOVE_SECONDS
        while folder.exists() and time.monotonic() < deadline:
            with suppress(OSError):
                # Unpacked artifacts can't be written to, which keeps all but root from removing them.
                for place, _, _ in os.walk(folder):
                    Path(place).chmod(0o700)
                shutil.rmtree(folder)
                continue
            time.sleep(PROBE_SECONDS)
