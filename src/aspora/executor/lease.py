"""A node's lease: renewed well before it ends, and obeyed when it can't be."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import StatusError
from aspora.records.nodes import Nodes
from aspora.records.rows import Owner
from aspora.records.state import ExecutionClass
from aspora.telemetry.logs import get_logger

_RENEWALS_PER_TTL: Final = 3
_RETRIES_PER_TTL: Final = 40
_log = get_logger(__name__)


class LeaseLost(RuntimeError):
    """The node could not renew its lease in time: others may take its work, so it must stop at once."""


class NodeLease:
    """Renews one node's lease.

    Args:
        classes: Asked at each renewal for the classes of execution the node takes by now.
    """

    def __init__(
        self,
        nodes: Nodes,
        owner: Owner,
        *,
        ttl_seconds: float,
        clock: Clock,
        classes: Callable[[], Sequence[ExecutionClass]],
    ) -> None:
        self._nodes = nodes
        self._owner = owner
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._classes = classes
        self._renewed_at = clock.monotonic()
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
        left_seconds = self._renewed_at + self._ttl_seconds / 2 - asked_at
        if left_seconds <= 0:
            raise LeaseLost(f"node {self._owner.node} could not renew its lease for {self._ttl_seconds / 2:g} s")
        try:
            async with asyncio.timeout(left_seconds):
                held = await self._nodes.renew(self._owner, ttl_seconds=self._ttl_seconds, classes=self._classes())
        except (StatusError, TimeoutError) as error:
            _log.warning("node lease not renewed yet", node=self._owner.node, cause=type(error).__name__)
            return False
        if not held:
            raise LeaseLost(f"the lease of node {self._owner.node} has ended")
        self._renewed_at = asked_at
        return True
