"""The controllers, over a client: inside a gateway process of `aspora up`, or as a process of their own."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from aspora.access.defaults import SYSTEM_CONTROLLER
from aspora.client.api_client import ApiClient
from aspora.client.interface import Client
from aspora.controllers.builtins import BUILTINS as CONTROLLERS
from aspora.kit.clock import Clock, SystemClock
from aspora.kit.registry import load_object
from aspora.kit.supervise import Loop, run_loops
from aspora.main.child import open_database
from aspora.main.joining import gateway_transport
from aspora.main.leading import run_as_leader
from aspora.main.metrics_door import MetricsDoor
from aspora.main.process_key import ProcessKey, new_place, wait_accepted
from aspora.main.settings import Settings
from aspora.main.wiring import artifact_store
from aspora.reconcile.controller import Controller
from aspora.telemetry.metrics import Metrics

OFFICE: Final = "controllers"
MAX_CONNECTIONS: Final = 2


def controller_loops(client: Client, clock: Clock) -> dict[str, Loop]:
    """Every controller and the informers that it lives on."""
    loops: dict[str, Loop] = {}
    for name, target in CONTROLLERS.items():
        controller: Controller = load_object(target)(client, clock)
        loops[f"controller-{name}"] = controller.run
        loops |= {f"controller-{name}-{informer.kind}": informer.run for informer in controller.informers}
    return loops


async def run_controllers(client: Client, clock: Clock, stop: asyncio.Event, *, grace_seconds: float) -> None:
    """All controllers until told to stop; they are made anew each time this process becomes the leader."""

    async def lead(stop: asyncio.Event) -> None:
        await run_loops(controller_loops(client, clock), stop, grace_seconds=grace_seconds)

    await run_as_leader(OFFICE, lead, stop)


async def serve(
    settings: Settings, config: Mapping[str, Any], stop: asyncio.Event, say_ready: Callable[[str], None]
) -> None:
    """Be a controllers process until told to stop."""
    clock, metrics = SystemClock(), Metrics()
    url: str = config["gateway_url"]
    door = MetricsDoor(metrics, host=settings.metrics_host, port=settings.metrics_port)
    async with await open_database(settings.database_url, max_connections=MAX_CONNECTIONS) as database:
        key = ProcessKey(
            database,
            settings.database_url,
            artifact_store(settings),
            clock,
            roles=(SYSTEM_CONTROLLER,),
            place=new_place("controllers"),
        )
        await key.ensure()
        client = ApiClient(gateway_transport(settings, url, api_key=key.text))
        support_stop = asyncio.Event()
        support = asyncio.create_task(
            run_loops({"key": key.run, "metrics": door.run}, support_stop, grace_seconds=1), name="support"
        )
        try:
            if await wait_accepted(client, url, stop):
                door.add_check("gateway", partial(client.get, "Domain", "default"))
                say_ready("controllers")
                await run_controllers(client, clock, stop, grace_seconds=settings.stop_grace_seconds)
        finally:
            support_stop.set()
            await support
            await client.close()
            await key.remove()
