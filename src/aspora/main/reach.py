"""The database of this machine's Aspora, for the operator: the running one, or the resting one started for a while."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

from aspora.db.attach import attached_dsn
from aspora.db.data_dir import lock_is_held
from aspora.db.embedded import EmbeddedPostgres
from aspora.main.settings import Settings
from aspora.meta.errors import NotFound


@contextmanager
def reached_database(settings: Settings, tell: Callable[[str], None]) -> Generator[str]:
    """The DSN for as long as the block lasts; what is running is left running.

    Raises:
        NotFound: There is no database in the data directory.
        StatusError: It can't be reached or started; the message says why.
    """
    if settings.database_url:
        yield settings.database_url
        return
    if not (settings.data_dir / "postgres").exists():
        raise NotFound(
            f"data folder {str(settings.data_dir)!r} holds no database; name the right one with --data-dir or"
            " ASPORA_DATA_DIR, or set ASPORA_DATABASE_URL"
        )
    if lock_is_held(settings.data_dir):
        yield attached_dsn(settings.data_dir, uid=os.geteuid())
        return
    with EmbeddedPostgres(settings.data_dir, progress=tell) as server:
        yield server.dsn


@contextmanager
def own_database(settings: Settings, tell: Callable[[str], None]) -> Generator[str]:
    """The DSN of a database that no Aspora of this data directory uses meanwhile; an embedded one is made when missing.

    Raises:
        Conflict: An Aspora runs over the data directory.
        StatusError: The database can't be started.
    """
    if settings.database_url:
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.data_dir, progress=tell) as server:
        yield server.dsn
