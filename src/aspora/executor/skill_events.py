"""Tells of executions that failed or lost their node as events of their skill: folded first, so that many cost one row.

An event is a courtesy to people who look; it never holds up an execution and may get lost.
"""

import asyncio
from typing import Final

from aspora.kit.supervise import flush_when_told
from aspora.meta.errors import StatusError
from aspora.records.happenings import Happening, Happenings
from aspora.records.wakeups import HAPPENED, Wakeups
from aspora.telemetry.logs import get_logger

_CONTROLLER: Final = "executor"
_FOLD_SECONDS: Final = 1.0
_MAX_WAITING: Final = 1000
"""Skills times reasons; what is beyond that is dropped until the next flush."""

_log = get_logger(__name__)


class SkillEvents:
    """Takes in what happened and keeps it a moment later; `run` must be running."""

    def __init__(self, happenings: Happenings, wakeups: Wakeups) -> None:
        self._happenings = happenings
        self._wakeups = wakeups
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._any = asyncio.Event()

    def failed(self, domain: str, skill: str, reason: str) -> None:
        """An execution of the skill ended as Failed, for this reason."""
        see = f"aspora get executions --skill {domain}/{skill} --state Failed"
        self._add(domain, skill, "ExecutionFailed", f"an execution failed with {reason}; see: {see}")

    def lost(self, domain: str, skill: str) -> None:
        """An execution of the skill was taken back from a node that stopped answering."""
        self._add(domain, skill, "NodeLost", "an execution lost its node and runs again; see: aspora get nodes")

    def _add(self, domain: str, skill: str, reason: str, message: str) -> None:
        key = (domain, skill, reason, message)
        if key in self._counts or len(self._counts) < _MAX_WAITING:
            self._counts[key] = self._counts.get(key, 0) + 1
            self._any.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep what was told until told to stop, and then the rest."""
        await flush_when_told(self._any, self.flush, stop, gather_seconds=_FOLD_SECONDS)

    async def flush(self) -> None:
        """Keep all that was told."""
        counts, self._counts = self._counts, {}
        try:
            for (domain, skill, reason, message), count in counts.items():
                await self._happenings.record(
                    Happening(
                        domain=domain,
                        kind="Skill",
                        name=skill,
                        type="Warning",
                        reason=reason,
                        message=message,
                        controller=_CONTROLLER,
                        count=count,
                    )
                )
        except StatusError as error:
            _log.warning("events of skills lost", reason=error.reason, count=len(counts))
        if counts:
            self._wakeups.send(HAPPENED)
