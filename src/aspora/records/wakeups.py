"""Wake-ups between processes: which channels there are, and how NOTIFY is sent.

NOTIFY inside the transaction that changes a row would serialise all commits of the server, flush included: PostgreSQL
holds one lock from the notification to the end of the commit. So wake-ups go out right after the commit, from a loop
that folds what comes together into one statement. One lost with its process costs the listener one probe interval.
"""

import asyncio
from typing import Final

from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.kit.supervise import flush_when_told
from aspora.meta.errors import StatusError
from aspora.telemetry.logs import get_logger

PENDING: Final = "aspora_pending"
"""An inline execution waits for an executor."""
QUEUED: Final = "aspora_queued"
"""A durable execution waits for an executor."""
CHANGED: Final = "aspora_executions"
"""Executions ended, or events were added."""
HAPPENED: Final = "aspora_events"
"""Something happened to an object."""
CANCELLED: Final = "aspora_cancel"
"""Somebody wants a running execution ended."""

_queries = Queries.load("aspora.records", "wakeups.sql")
_log = get_logger(__name__)


class Wakeups:
    """Sends wake-ups; `run` must be running."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due: set[str] = set()
        self._any_due = asyncio.Event()

    def send(self, channel: str) -> None:
        """Wake whoever listens there, soon; call it after the commit."""
        self._due.add(channel)
        self._any_due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until told to stop, and then the rest."""
        await flush_when_told(self._any_due, self._flush, stop)

    async def _flush(self) -> None:
        due, self._due = self._due, set()
        if not due:
            return
        try:
            async with self._database.connection() as connection:
                await _queries.execute(connection, "notify", channels=sorted(due))
        except StatusError as error:
            _log.warning("wake-up lost, listeners will probe", reason=error.reason)
