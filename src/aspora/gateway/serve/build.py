"""Puts the serving door together: its routes, and the loops that must run for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute

from aspora.access.interface import ObjectReader
from aspora.artifacts.interface import ArtifactStore
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.serve.acceptance import Acceptance
from aspora.gateway.serve.routes import ServeDoor, serve_routes
from aspora.gateway.serve.waiting import EndWatch
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.kit.supervise import Loop
from aspora.records.events import Events
from aspora.records.executions import Executions
from aspora.records.interface import ExecutionStarter
from aspora.records.nodes import Nodes
from aspora.records.wakeups import CHANGED, Wakeups

CHANNELS: Final = (CHANGED,)
"""What the gateway's listener must listen to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeDeps:
    """What the serving door works with. The listener must hear `CHANNELS`."""

    database: Database
    listener: Listener
    reader: ObjectReader
    blobs: ArtifactStore
    starter: ExecutionStarter
    streams: Streams
    clock: Clock


@dataclass(frozen=True, slots=True)
class ServePart:
    """The door: routes for the application, loops for the process."""

    routes: list[BaseRoute]
    loops: Mapping[str, Loop]


def build_serve(deps: ServeDeps) -> ServePart:
    """Make the door."""
    executions, wakeups = Executions(deps.database), Wakeups(deps.database)
    ends = EndWatch(executions, deps.listener)
    acceptance = Acceptance(
        database=deps.database,
        executions=executions,
        reader=deps.reader,
        blobs=deps.blobs,
        starter=deps.starter,
        wakeups=wakeups,
        clock=deps.clock,
    )
    door = ServeDoor(
        acceptance=acceptance,
        executions=executions,
        events=Events(deps.database),
        nodes=Nodes(deps.database),
        ends=ends,
        wakeups=wakeups,
        listener=deps.listener,
        reader=deps.reader,
        blobs=deps.blobs,
        streams=deps.streams,
        clock=deps.clock,
    )
    return ServePart(serve_routes(door), {"serve-wakeups": wakeups.run, "serve-ends": ends.run})
