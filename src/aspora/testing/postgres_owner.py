"""The process that owns the shared test server; see `aspora.testing.postgres`. Run: `python -m … FOLDER`."""

import fcntl
import json
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from aspora.db.embedded import EmbeddedPostgres
from aspora.testing.postgres import LOG_NAME, READY_NAME, START_LOCK_NAME, USERS_LOCK_NAME, exclusive

_FOR_SPEED = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "max_wal_size": "256MB",
    "deadlock_timeout": "100ms",
    # In the data directory, which is in memory too, so that a killed server leaves nothing outside it.
    "dynamic_shared_memory_type": "mmap",
}


def main(folder: Path) -> None:
    """Start the server, say so with one byte on stdout, and stop when the last test process is gone."""
    # A new folder each time: without fsync, what a killed server left behind can't be trusted.
    data_dir = Path(tempfile.mkdtemp(prefix="data-", dir=folder))
    data_dir.chmod(0o711)
    with EmbeddedPostgres(data_dir, settings=_FOR_SPEED, sync=False) as server:
        _announce(server, folder)
        os.write(1, b"\n")
        while not _retire(server, folder):
            _wait_for_users(folder)


def _retire(server: EmbeddedPostgres, folder: Path) -> bool:
    """Stop and remove everything if nobody uses it; newcomers wait at the start lock meanwhile."""
    users_path = folder / USERS_LOCK_NAME
    with exclusive(folder / START_LOCK_NAME), users_path.open("ab") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (folder / READY_NAME).unlink(missing_ok=True)
        server.stop()
        for leftover in folder.glob("data-*"):
            shutil.rmtree(leftover)
        (folder / LOG_NAME).unlink(missing_ok=True)
        users_path.unlink()
        # The start lock last: with it gone, a newcomer may begin, and the folder is then theirs.
        (folder / START_LOCK_NAME).unlink()
        with suppress(OSError):
            folder.rmdir()
    return True


def _wait_for_users(folder: Path) -> None:
    """Sleep in the kernel until every test process has let go."""
    with (folder / USERS_LOCK_NAME).open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_EX)


def _announce(server: EmbeddedPostgres, folder: Path) -> None:
    path = folder / READY_NAME
    scratch = path.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps({"dsn": server.dsn, "superuser_dsn": server.superuser_dsn}), "utf-8")
    scratch.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
