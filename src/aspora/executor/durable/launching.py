"""One executor of a database launches the workflow engine at a time. Blocking; call it off the event loop."""

import contextlib
import threading
import time
from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg.rows import TupleRow

from aspora.db.advisory_keys import LockKey
from aspora.db.pool import connection_parameters
from aspora.db.queries import Queries
from aspora.telemetry.logs import get_logger

_TRY_SECONDS: Final = 0.1
_TELL_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_KEEPALIVE: Final = (
    "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=30000"
)
"""Asked of the server, whose system's own take hours: it frees the lock of a host that is gone within half a minute."""

_queries = Queries.load("aspora.executor.durable", "launching.sql")
_log = get_logger(__name__)


class LaunchGivenUp(Exception):
    """Told to stop before it was this executor's turn."""


@contextlib.contextmanager
def alone(dsn: str, *, executor_id: str, given_up: threading.Event) -> Generator[None]:
    """Be the one executor of the database that launches: DBOS's migrations can't bear one another.

    Two at once drop each other's half-made indexes, and take minutes. The lock is asked for again and again and not
    waited for: a statement that waits holds a snapshot, and an index that is made concurrently waits for all of those.

    Raises:
        LaunchGivenUp: `given_up` was set while another held the lock.
    """
    parameters = connection_parameters(
        dsn,
        application_name=f"aspora-launch {executor_id}",
        statement_timeout_seconds=_ANSWER_SECONDS,
        connect_timeout_seconds=_ANSWER_SECONDS,
    )
    parameters["options"] += f" {_KEEPALIVE}"
    with contextlib.closing(psycopg.connect(autocommit=True, **parameters)) as connection:
        _wait_for_turn(connection, given_up)
        yield


def _wait_for_turn(connection: psycopg.Connection[TupleRow], given_up: threading.Event) -> None:
    begin, is_told = time.monotonic(), False
    while not _ask(connection, "try_to_launch"):
        if given_up.wait(_TRY_SECONDS):
            raise LaunchGivenUp
        if not is_told and time.monotonic() - begin >= _TELL_SECONDS:
            is_told = True
            _log.warning(
                "waiting for another executor to launch the workflow engine",
                holder=_ask(connection, "who_launches") or "unknown",
                waited_seconds=_TELL_SECONDS,
            )


def _ask(connection: psycopg.Connection[TupleRow], query: str) -> Any:
    row = connection.execute(_queries.sql(query).encode(), {"key": LockKey.DURABLE_LAUNCH.value}).fetchone()
    return None if row is None else row[0]
