"""`aspora uninstall`: removes what Aspora keeps on this machine, and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

from aspora.cli import exit_codes
from aspora.cli.output import Output
from aspora.db.os_user import ROOT_UID, SERVER_USER_NAME, user_exists
from aspora.main.control import LOCK_NAME, lock_is_held
from aspora.main.settings import Settings


def _size_text(folder: Path) -> str:
    total = sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir() or f.is_symlink())
    return f"{total / 1e6:.0f} MB"


def _is_ours(folder: Path) -> bool:
    """Whether the folder bears the marks of a data directory: a mistyped path must not be emptied."""
    return (folder / LOCK_NAME).is_file()


def uninstall(settings: Settings, out: Output, *, confirmed: bool) -> int:
    """Say, and when confirmed do: the data directory goes, and as root the database's operating-system user."""
    folder = settings.data_dir
    removes_user = os.geteuid() == ROOT_UID and user_exists(SERVER_USER_NAME)
    if not folder.exists() and not removes_user:
        out.line(f"nothing to remove: there is no data directory {folder}")
        return exit_codes.OK
    if folder.exists() and not _is_ours(folder):
        out.error(f"{str(folder)!r} does not look like a data directory of Aspora; nothing was removed")
        return exit_codes.FAILED
    if lock_is_held(folder):
        out.error(f"an Aspora is using {str(folder)!r}; stop it first: aspora down")
        return exit_codes.FAILED
    verb = "removing" if confirmed else "would remove"
    if folder.exists():
        out.line(f"{verb} {folder} ({_size_text(folder)}: database, artifacts, keys, logs)")
    if removes_user:
        out.line(f"{verb} the operating-system user {SERVER_USER_NAME!r}")
    if not confirmed:
        out.line("Nothing was touched. This can't be undone: aspora uninstall --yes")
        return exit_codes.OK
    if folder.exists():
        shutil.rmtree(folder)
    if removes_user:
        subprocess.run(["userdel", SERVER_USER_NAME], check=False, capture_output=True)
    out.line("Done. The program itself goes with its environment: make clean, or pip uninstall aspora aspora-sdk")
    return exit_codes.OK
