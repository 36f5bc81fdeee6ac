"""The sweeps that any executor may do for all: take back what lost nodes ran, end what waited or ran for too long."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from aspora.executor.skill_events import SkillEvents
from aspora.kit.supervise import wait_for_event
from aspora.records.executions import Executions, Swept
from aspora.records.state import is_terminal
from aspora.records.wakeups import CHANGED, PENDING, Wakeups
from aspora.telemetry.logs import get_logger

_MAX_INTERVAL_SECONDS: Final = 2.0
_INTERVALS_PER_LEASE: Final = 2
_log = get_logger(__name__)


class Sweeper:
    """Sweeps at intervals; several at once do no harm.

    Args:
        executions: What is swept.
        wakeups: Tells those who wait.
        lease_seconds: A node's lease: what one left is found within three quarters of it after its end.
        skill_events: Is told what happened to skills' executions; None to tell nobody.
        rand: Spreads the rounds of several executors, 0 to 1.
    """

    def __init__(
        self,
        executions: Executions,
        wakeups: Wakeups,
        *,
        lease_seconds: float,
        skill_events: SkillEvents | None = None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._interval_seconds = min(_MAX_INTERVAL_SECONDS, lease_seconds / _INTERVALS_PER_LEASE)
        self._skill_events = skill_events
        self._executions = executions
        self._wakeups = wakeups
        self._rand = rand

    async def sweep(self) -> None:
        """One round."""
        executions = self._executions
        moved = [
            *await executions.reap_lost(),
            *await executions.expire_pending(),
            *await executions.expire_running(),
        ]
        for swept in moved:
            _log.warning("execution swept", execution=swept.id, state=swept.state)
        self._wake(moved)
        for swept in moved:
            await self._tell(swept)

    async def _tell(self, swept: Swept) -> None:
        if self._skill_events is None or swept.state == "Cancelled":
            return
        row = await self._executions.get(swept.id)
        if swept.state == "Failed":
            self._skill_events.failed(row["domain"], row["skill"], row["reason"])
        else:
            self._skill_events.lost(row["domain"], row["skill"])

    def _wake(self, moved: list[Swept]) -> None:
        if moved:
            self._wakeups.send(CHANGED)
        if any(not is_terminal(swept.state) for swept in moved):
            self._wakeups.send(PENDING)

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop."""
        while not stop.is_set():
            await self.sweep()
            await wait_for_event(stop, self._interval_seconds * (0.5 + self._rand()))
