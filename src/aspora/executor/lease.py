"""A node's lease: renewed well before it ends, and obeyed when it can't be.

A third of the lease is the usual time between renewals. At half of it without one the node begins to end its work; at
three quarters the kernel ends the process, whatever it is doing, so that all of it is over before the lease is.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from aspora.executor.dead_man import DeadMan
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.records.nodes import Nodes
from aspora.records.rows import Owner
from aspora.records.state import ExecutionClass
from aspora.telemetry.logs import get_logger

_RENEWALS_PER_TTL: Final = 3
_RETRIES_PER_TTL: Final = 40
_GIVE_UP_RATIO: Final = 0.5
_DEATH_RATIO: Final = 0.75
_log = get_logger(__name__)


class LeaseLost(RuntimeError):
    """The node could not renew its lease in time: others may take its work, so it must stop at once."""


class NodeLease:
    """Renews one node's lease.

    Args:
        since: The monotonic instant at which the node's registration was asked for; its lease counts from there.
        classes: Asked at each renewal for the classes of execution the node takes by now.
        dead_man: Moved on with each renewal.
        on_renewed: Told the database's instant of a renewal, and the monotonic one at which it was asked for.
    """

    def __init__(
        self,
        nodes: Nodes,
        owner: Owner,
        *,
        ttl_seconds: float,
        clock: Clock,
        since: float,
        classes: Callable[[], Sequence[ExecutionClass]],
        dead_man: DeadMan,
        on_renewed: Callable[[datetime, float], None],
    ) -> None:
        self._nodes = nodes
        self._owner = owner
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._classes = classes
        self._dead_man = dead_man
        self._on_renewed = on_renewed
        self._renewed_at = since
        self._move_death_on()
        self._now_please = asyncio.Event()

    def renew_soon(self) -> None:
        """Renew now rather than in its turn: the classes have changed."""
        self._now_please.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Renew until told to stop.

        Raises:
            LeaseLost: Half the lease passed without a renewal, or the lease was found to have ended.
        """
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._now_please.set())
        try:
            while not stop.is_set():
                self._now_please.clear()
                renewed = await self._renew()
                pause_seconds = self._ttl_seconds / (_RENEWALS_PER_TTL if renewed else _RETRIES_PER_TTL)
                if not stop.is_set():
                    await wait_for_event(self._now_please, pause_seconds)
        finally:
            stopping.cancel()

    async def _renew(self) -> bool:
        """Try once; False when it may be tried again."""
        asked_at = self._clock.monotonic()
        give_up_seconds = self._ttl_seconds * _GIVE_UP_RATIO
        left_seconds = self._renewed_at + give_up_seconds - asked_at
        if left_seconds <= 0:
            raise LeaseLost(f"node {self._owner.node} could not renew its lease for {give_up_seconds:g} s")
        try:
            async with asyncio.timeout(left_seconds):
                renewed_at = await self._nodes.renew(
                    self._owner, ttl_seconds=self._ttl_seconds, classes=self._classes()
                )
        except (StatusError, TimeoutError) as error:
            _log.warning("node lease not renewed yet", node=self._owner.node, cause=type(error).__name__)
            return False
        if renewed_at is None:
            raise LeaseLost(f"the lease of node {self._owner.node} has ended")
        self._renewed_at = asked_at
        self._move_death_on()
        self._on_renewed(renewed_at, asked_at)
        return True

    def _move_death_on(self) -> None:
        dies_at = self._renewed_at + self._ttl_seconds * _DEATH_RATIO
        self._dead_man.arm(dies_at - self._clock.monotonic())
