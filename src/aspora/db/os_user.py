"""The operating-system user the embedded server runs as: oneself, or as root an account of its own."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass

from aspora.meta.errors import Forbidden

ROOT_UID = 0
SERVER_USER_NAME = "aspora-postgres"
_ADMIN_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class OsUser:
    """An account of this machine."""

    name: str
    uid: int
    gid: int


def server_user(*, uid: int, name: str = SERVER_USER_NAME) -> OsUser:
    """Who runs the server when Aspora runs as `uid`: PostgreSQL refuses root, so root gets a system account, made once.

    Raises:
        Forbidden: The account is missing and can't be made.
    """
    if uid != ROOT_UID:
        return OsUser(name=str(uid), uid=uid, gid=os.getgid())
    found = _lookup(name)
    if found is None:
        reply = _create(name)
        found = _lookup(name)
        if found is None:
            raise Forbidden(
                f"PostgreSQL can't run as root, and its user {name!r} could not be made ({reply}); make it with"
                f" 'useradd --system {name}', run Aspora as an ordinary user, or set ASPORA_DATABASE_URL"
            )
    return found


def user_exists(name: str) -> bool:
    """Whether the account is there."""
    return _lookup(name) is not None


def _lookup(name: str) -> OsUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return OsUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _create(name: str) -> str:
    """Add the account; what the tool said, for the error when it did not help."""
    commands = (
        (
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir=/nonexistent",
            "--shell=/usr/sbin/nologin",
            name,
        ),
        ("adduser", "-S", "-D", "-H", name),
    )
    for tool, *arguments in commands:
        path = shutil.which(tool, path=_ADMIN_PATH)
        if path:
            done = subprocess.run(
                [path, *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
            )
            return done.stderr.strip() or f"{tool} ended with {done.returncode}"
    return "neither useradd nor adduser is installed"
