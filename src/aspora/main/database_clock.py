"""A process's clock: the database's instants, so that a host's wrong wall clock shows in no object and ends no key."""

import asyncio
from typing import Final

from aspora.db.pool import Database
from aspora.kit.clock import Clock, SteadyClock
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.records.nodes import Nodes
from aspora.telemetry.logs import get_logger

_ASK_SECONDS: Final = 60.0
_USABLE_SECONDS: Final = 1.0
"""An answer that took longer says too little of when it was given."""

_TOLD_SECONDS: Final = 60.0
_log = get_logger(__name__)


class DatabaseClock(SteadyClock):
    """A `SteadyClock` that asks the database; made by `open`, and `run` should be running."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(clock)
        self._nodes = Nodes(database)

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> "DatabaseClock":
        """One that has asked; the log says so when this host's own clock is far off.

        Raises:
            Unavailable: The database can't be reached.
        """
        made = cls(database, clock)
        asked_at = made.monotonic()
        made.set(await made._nodes.now(), asked_at=asked_at)
        off_seconds = (clock.now() - made.now()).total_seconds()
        if abs(off_seconds) > _TOLD_SECONDS:
            _log.warning("this host's clock differs from the database's, which counts", seconds=round(off_seconds))
        return made

    async def run(self, stop: asyncio.Event) -> None:
        """Ask again from time to time until told to stop; while nobody answers, the last answer counts."""
        while not await wait_for_event(stop, _ASK_SECONDS):
            asked_at = self.monotonic()
            try:
                at = await self._nodes.now()
            except StatusError as error:
                _log.warning("database's clock not read", reason=error.reason)
                continue
            if self.monotonic() - asked_at <= _USABLE_SECONDS:
                self.set(at, asked_at=asked_at)
