"""A process's clock: the database's instants, so that a host's wrong wall clock shows in no object and ends no key."""

import asyncio
import math
from contextlib import suppress
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

_OPEN_TRIES: Final = 5
_OPEN_SECONDS: Final = 5.0
"""For better answers than the first."""

_GOOD_SECONDS: Final = 0.05
"""An answer that took no longer needs no better one."""

_TOLD_SECONDS: Final = 60.0
_log = get_logger(__name__)


class DatabaseClock(SteadyClock):
    """A `SteadyClock` that asks the database; made by `open`, and `run` should be running."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(clock)
        self._nodes = Nodes(database)

    @classmethod
    async def open(cls, database: Database, clock: Clock) -> "DatabaseClock":
        """One that has asked, again while the answers were slow; the log says so when this host's own clock is far off.

        Raises:
            Unavailable: The database can't be reached.
        """
        made = cls(database, clock)
        best_seconds = await made._ask(usable_seconds=math.inf)
        until = made.monotonic() + _OPEN_SECONDS
        with suppress(StatusError, TimeoutError):
            for _ in range(_OPEN_TRIES - 1):
                if best_seconds <= _GOOD_SECONDS:
                    break
                async with asyncio.timeout(until - made.monotonic()):
                    best_seconds = min(best_seconds, await made._ask(usable_seconds=best_seconds))
        off_seconds = (clock.now() - made.now()).total_seconds()
        if abs(off_seconds) > _TOLD_SECONDS:
            _log.warning("this host's clock differs from the database's, which counts", seconds=round(off_seconds))
        return made

    async def run(self, stop: asyncio.Event) -> None:
        """Ask again from time to time until told to stop; while nobody answers, the last answer counts."""
        while not await wait_for_event(stop, _ASK_SECONDS):
            try:
                await self._ask(usable_seconds=_USABLE_SECONDS)
            except StatusError as error:
                _log.warning("database's clock not read", reason=error.reason)

    async def _ask(self, *, usable_seconds: float) -> float:
        """Ask once, and take the answer unless it took longer than that; how long it took."""
        asked_at = self.monotonic()
        at = await self._nodes.now()
        took_seconds = self.monotonic() - asked_at
        if took_seconds <= usable_seconds:
            self.set(at, asked_at=asked_at)
        return took_seconds
