"""`aspora uninstall`: removes what Aspora keeps in its data directory, and nothing else."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from aspora.cli import exit_codes
from aspora.cli.output import Output
from aspora.db.data_dir import LOCK_NAME, explained, lock_is_held, user_name
from aspora.db.os_user import ROOT_UID, SERVER_USER_NAME, user_exists
from aspora.main.control import LOG_NAME
from aspora.main.endpoint import FILE_NAME, KEY_FILE_NAME
from aspora.main.settings import Settings, place_of

FOLDERS = ("demo", "cache", "sandbox", "runtime", "run", "artifacts", "upgrade", "postgres")
SCRATCH_FOLDERS = ("postgres.new-*", "postgres-[0-9]*")
SCRATCH_FILES = ("postgres.initdb-password", "postgres.*.new", f".{FILE_NAME}.*", f".{KEY_FILE_NAME}.*", ".doctor-*")
"""What a start, or a check, that was cut off leaves behind; the next start sweeps some of it."""
FILES = (
    "postgres.log",
    "postgres.log.1",
    LOG_NAME,
    f"{LOG_NAME}.1",
    FILE_NAME,
    "postgres.credentials",
    "secret.key",
    KEY_FILE_NAME,
    LOCK_NAME,
)
"""In the order of removal: the mark of a data directory goes last, so that a broken removal can be repeated."""


def _size_text(folder: Path) -> str:
    total = sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir() or f.is_symlink())
    return f"{total / 1e6:.0f} MB"


def _strangers(folder: Path) -> list[str]:
    """What lies in the folder and is not Aspora's."""
    return sorted(entry.name for entry in folder.iterdir() if not _is_own(entry))


def _is_own(entry: Path) -> bool:
    """By name and nature: a folder with a scratch file's name is somebody else's."""
    if entry.name in {*FOLDERS, *FILES}:
        return True
    patterns = SCRATCH_FOLDERS if entry.is_dir() and not entry.is_symlink() else SCRATCH_FILES
    return any(fnmatchcase(entry.name, pattern) for pattern in patterns)


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The entries that patterns name, in the patterns' order."""
    names = [entry.name for entry in folder.iterdir()]
    return [folder / name for pattern in patterns for name in sorted(names) if fnmatchcase(name, pattern)]


def remove_tree(folder: Path) -> None:
    """Remove a folder with read-only parts (unpacked artifacts are read-only on purpose); follows no link."""
    for parent, _, _ in os.walk(folder):
        mode = os.lstat(parent).st_mode
        if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
            os.chmod(parent, stat.S_IMODE(mode) | 0o700)
    shutil.rmtree(folder)


def _remove(folder: Path) -> None:
    for path in _matching(folder, (*SCRATCH_FOLDERS, *FOLDERS)):
        if path.is_dir():
            remove_tree(path)
    for path in _matching(folder, (*SCRATCH_FILES, *FILES)):
        path.unlink(missing_ok=True)
    folder.rmdir()


def _refusal(folder: Path) -> str:
    """Why the folder must not be touched; "" when it may be removed."""
    if not any((marked / LOCK_NAME).is_file() for marked in (folder, folder / "demo")):
        return f"{str(folder)!r} does not look like a data directory of Aspora; nothing was removed"
    if (owner := folder.stat().st_uid) != os.geteuid() != ROOT_UID:
        return f"{str(folder)!r} belongs to user {user_name(owner)!r}; uninstall it as {user_name(owner)!r}"
    for used in (folder, folder / "demo"):
        if lock_is_held(used):
            return f"an Aspora is using {str(used)!r}; stop it first: aspora down --data-dir {shlex.quote(str(used))}"
    if strangers := _strangers(folder):
        shown = ", ".join(strangers[:5]) + (" …" if len(strangers) > 5 else "")
        return f"{str(folder)!r} holds what is not Aspora's: {shown}; move that away first, nothing was removed"
    return ""


def uninstall(settings: Settings, out: Output, *, confirmed: bool) -> int:
    """Say what would go, and when confirmed remove it.

    Raises:
        Forbidden: The folder is another user's.
    """
    folder = settings.data_dir
    with explained(folder):
        if not folder.exists():
            out.line(f"nothing to remove: there is no data directory {str(folder)!r}")
            return exit_codes.OK
        if refusal := _refusal(folder):
            out.error(refusal)
            return exit_codes.REFUSED
        shown = f"{folder} ({_size_text(folder)}: database, artifacts, keys, logs)"
    if not confirmed:
        out.line(f"would remove {shown}")
        out.line(f"Nothing was touched. This can't be undone: aspora uninstall --yes{place_of(settings)}")
        return exit_codes.OK
    out.line(f"removing {shown}")
    with explained(folder):
        _remove(folder)
    if os.geteuid() == ROOT_UID and user_exists(SERVER_USER_NAME):
        out.line(f"The operating-system user {SERVER_USER_NAME!r} stays: other data directories may need it.")
        out.line(f"When none does: userdel {SERVER_USER_NAME}")
    out.line("Done. The program itself goes with its environment: make clean, or pip uninstall aspora aspora-sdk")
    return exit_codes.OK
