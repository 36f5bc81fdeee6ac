"""The door for what happened: its parts put together, its routes, and the loops that must run for them."""

import asyncio
from typing import Final

from starlette.routing import BaseRoute

from aspora.access.interface import ObjectReader
from aspora.audit.trail import Audit
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.contract import ContractRoute
from aspora.gateway.history import contract
from aspora.gateway.history.handlers import AUDIT, EVENTS, HistoryHandlers
from aspora.gateway.refusals import Refusals, refusals
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.kit.supervise import run_loops
from aspora.records.happenings import Happenings
from aspora.records.wakeups import HAPPENED, Wakeups

CHANNELS: Final = (HAPPENED,)
"""What the gateway's listener must listen to."""

_GRACE_SECONDS: Final = 1.0


class HistoryDoor:
    """The door; `run` must be running while requests come in.

    Args:
        database: Where events and audit are.
        audit: Shared with whoever tells it of refusals.
        listener: Must hear `CHANNELS`.
        reader: Knows the domains.
        streams: Shared by all parts that stream.
        clock: For ages and for the length of streams.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: Audit,
        listener: Listener,
        reader: ObjectReader,
        streams: Streams,
        clock: Clock,
    ) -> None:
        self._audit = audit
        self._wakeups = Wakeups(database)
        self.handlers = HistoryHandlers(
            happenings=Happenings(database),
            audit=audit,
            wakeups=self._wakeups,
            listener=listener,
            reader=reader,
            streams=streams,
            clock=clock,
        )

    def tell_happened(self) -> None:
        """Events were kept that did not come through this door."""
        self._wakeups.send(HAPPENED)

    async def run(self, stop: asyncio.Event) -> None:
        """Send wake-ups and keep refusals, until told to stop."""
        loops = {"history-wakeups": self._wakeups.run, "history-audit": self._audit.run}
        await run_loops(loops, stop, grace_seconds=_GRACE_SECONDS)


def history_routes(door: HistoryDoor) -> list[BaseRoute]:
    """The routes; they come before the generic object routes, whose patterns match them too."""
    handlers = door.handlers
    places = (f"/api/v1/domains/{{domain}}/{EVENTS}", f"/api/v1/{EVENTS}")
    routes = [ContractRoute(f"/api/v1/{AUDIT}", handlers.list_audit, contract.LIST_AUDIT)]
    for place in places:
        routes.append(ContractRoute(place, handlers.list_events, contract.LIST_EVENTS))
        routes.append(ContractRoute(place, handlers.tell_event, contract.TELL, methods=["POST"]))
    singles = [Refusals(f"{route.path}/{{name}}", ()) for route in routes if "GET" in (route.methods or ())]
    return [*routes, *refusals(routes), *singles]
