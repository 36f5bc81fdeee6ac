"""The serving door: its parts put together, its routes, and the loops that must run for them."""

import asyncio
from typing import Final

from starlette.routing import BaseRoute

from aspora.access.interface import ObjectReader
from aspora.artifacts.interface import ArtifactStore
from aspora.audit.interface import RefusalTrail
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.auditing import Auditor
from aspora.gateway.contract import ContractRoute
from aspora.gateway.refusals import refusals
from aspora.gateway.serve import contract
from aspora.gateway.serve.acceptance import PLURAL, Acceptance
from aspora.gateway.serve.handlers import NODES, ServeHandlers
from aspora.gateway.serve.skill_runs import ServedSkills
from aspora.gateway.serve.waiting import EndWatch
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.kit.supervise import run_loops
from aspora.records.effects import Effects
from aspora.records.events import Events
from aspora.records.executions import Executions
from aspora.records.interface import ExecutionStarter
from aspora.records.nodes import Nodes
from aspora.records.wakeups import CHANGED, Wakeups

CHANNELS: Final = (CHANGED,)
"""What the gateway's listener must listen to."""

EXECUTION: Final = "Execution"
_GRACE_SECONDS: Final = 1.0


class ServeDoor:
    """The door; `run` must be running while requests come in.

    Args:
        listener: Must hear `CHANNELS`.
        blobs: Where large inputs and results are.
        starter: Starts durable executions.
        trail: Is told of refused runs and cancellations; None to tell nobody.
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
        trail: RefusalTrail | None = None,
    ) -> None:
        self.auditor = Auditor(trail)
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
        self.skills = ServedSkills(acceptance, self._ends, clock)
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
    run = door.auditor.around(handlers.run_skill, verb=lambda _: "create", kind=lambda _: EXECUTION)
    cancel = door.auditor.around(handlers.cancel, verb=lambda _: "cancel", kind=lambda _: EXECUTION)
    routes = [
        ContractRoute(of_skill, run, contract.RUN, methods=["POST"]),
        ContractRoute(in_domain, handlers.list_executions, contract.LIST),
        ContractRoute(anywhere, handlers.list_executions, contract.LIST),
        ContractRoute(f"/api/v1/{NODES}", handlers.list_nodes, contract.LIST_NODES),
        ContractRoute(f"/api/v1/{NODES}/{{name}}", handlers.get_node, contract.GET_NODE),
    ]
    for base in (in_domain, anywhere):
        routes.append(ContractRoute(f"{base}/{{name}}", handlers.get_execution, contract.GET))
        routes.append(ContractRoute(f"{base}/{{name}}/events", handlers.get_events, contract.EVENTS))
        routes.append(ContractRoute(f"{base}/{{name}}/cancel", cancel, contract.CANCEL, methods=["POST"]))
    return [*routes, *refusals(routes)]
