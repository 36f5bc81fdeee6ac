"""The serving door: its parts put together, its routes, and the loops that must run for them."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from aspora.access.interface import ObjectReader
from aspora.artifacts.interface import ArtifactStore
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.contract import ContractRoute
from aspora.gateway.serve import contract
from aspora.gateway.serve.acceptance import PLURAL, Acceptance
from aspora.gateway.serve.handlers import NODES, ServeHandlers
from aspora.gateway.serve.waiting import EndWatch
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.kit.supervise import run_loops
from aspora.meta.errors import MethodNotAllowed
from aspora.records.effects import Effects
from aspora.records.events import Events
from aspora.records.executions import Executions
from aspora.records.interface import ExecutionStarter
from aspora.records.nodes import Nodes
from aspora.records.wakeups import CHANGED, Wakeups

CHANNELS: Final = (CHANGED,)
"""What the gateway's listener must listen to."""

_ALL_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_GRACE_SECONDS: Final = 1.0


class ServeDoor:
    """The door; `run` must be running while requests come in.

    Args:
        listener: Must hear `CHANNELS`.
        blobs: Where large inputs and results are.
        starter: Starts durable executions.
    """

    def __init__(
        self,
        *,
        database: Database,
        listener: Listener,
        reader: ObjectReader,
        blobs: ArtifactStore,
        starter: ExecutionStarter,
        streams: Streams,
        clock: Clock,
    ) -> None:
        executions = Executions(database)
        self._wakeups = Wakeups(database)
        self._ends = EndWatch(executions, listener)
        acceptance = Acceptance(
            database=database,
            executions=executions,
            reader=reader,
            blobs=blobs,
            starter=starter,
            wakeups=self._wakeups,
            clock=clock,
        )
        self.handlers = ServeHandlers(
            acceptance=acceptance,
            executions=executions,
            effects=Effects(database),
            events=Events(database),
            nodes=Nodes(database),
            ends=self._ends,
            wakeups=self._wakeups,
            listener=listener,
            reader=reader,
            blobs=blobs,
            streams=streams,
            clock=clock,
        )

    def release_waiters(self) -> None:
        """Answer every request that waits for an execution's end with what is known: the server stops."""
        self._ends.release_all()

    async def run(self, stop: asyncio.Event) -> None:
        """Send wake-ups and look for ends, until told to stop."""
        loops = {"serve-wakeups": self._wakeups.run, "serve-ends": self._ends.run}
        await run_loops(loops, stop, grace_seconds=_GRACE_SECONDS)


def serve_routes(door: ServeDoor) -> list[BaseRoute]:
    """The routes; they come before the generic object routes, whose patterns match them too."""
    handlers = door.handlers
    in_domain = f"/api/v1/domains/{{domain}}/{PLURAL}"
    anywhere = f"/api/v1/{PLURAL}"
    of_skill = f"/api/v1/domains/{{domain}}/skills/{{skill}}/{PLURAL}"
    routes = [
        ContractRoute(of_skill, handlers.run_skill, contract.RUN, methods=["POST"]),
        ContractRoute(in_domain, handlers.list_executions, contract.LIST),
        ContractRoute(anywhere, handlers.list_executions, contract.LIST),
        ContractRoute(f"/api/v1/{NODES}", handlers.list_nodes, contract.LIST_NODES),
        ContractRoute(f"/api/v1/{NODES}/{{name}}", handlers.get_node, contract.GET_NODE),
    ]
    for base in (in_domain, anywhere):
        routes.append(ContractRoute(f"{base}/{{name}}", handlers.get_execution, contract.GET))
        routes.append(ContractRoute(f"{base}/{{name}}/events", handlers.get_events, contract.EVENTS))
        routes.append(ContractRoute(f"{base}/{{name}}/cancel", handlers.cancel, contract.CANCEL, methods=["POST"]))
    return [*routes, *(_Refusals(route) for route in routes)]


class _Refusals(BaseRoute):
    """Answers a record's path for the methods that records do not have, before a generic object route can.

    Not a `Route`, so that nobody publishes it as something that works.
    """

    def __init__(self, route: Route) -> None:
        allowed = ", ".join(sorted((route.methods or set()) - {"HEAD"}))

        async def refuse(request: Request) -> Response:
            raise MethodNotAllowed(
                f"{request.method} is not answered at {route.path!r}: records are never edited; allowed: {allowed}"
            )

        self._route = Route(route.path, refuse, methods=_ALL_METHODS)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is the one."""
        return self._route.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse."""
        await self._route.handle(scope, receive, send)
