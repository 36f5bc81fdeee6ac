"""`aspora controllers`: the controllers as a process of their own, over HTTP; one of several leads."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aspora.access.defaults import SYSTEM_CONTROLLER
from aspora.client.api_client import ApiClient
from aspora.kit.clock import SystemClock
from aspora.kit.supervise import Loop, running_loops
from aspora.main.child import open_database
from aspora.main.controlling import lead_controllers
from aspora.main.database_clock import DatabaseClock
from aspora.main.joining import database_shown, gateway_transport
from aspora.main.metrics_door import MetricsDoor
from aspora.main.process_key import ProcessKey, new_place, wait_accepted
from aspora.main.settings import Settings
from aspora.main.wiring import artifact_store
from aspora.telemetry.metrics import Metrics

MAX_CONNECTIONS = 2


async def serve(
    settings: Settings, config: Mapping[str, Any], stop: asyncio.Event, say_ready: Callable[[str], None]
) -> None:
    """Be a controllers process until told to stop.

    Raises:
        StatusError: It can't begin; says why.
    """
    metrics = Metrics()
    url: str = config["gateway_url"]
    async with AsyncExitStack() as held:
        door = held.enter_context(MetricsDoor(metrics, host=settings.metrics_host, port=settings.metrics_port))
        database = await held.enter_async_context(
            await open_database(settings.database_url, max_connections=MAX_CONNECTIONS)
        )
        clock = await DatabaseClock.open(database, SystemClock())
        store = artifact_store(settings)
        place = new_place("controllers")
        key = ProcessKey(database, settings.database_url, store, clock, roles=(SYSTEM_CONTROLLER,), place=place)
        await held.enter_async_context(key.held())
        transport = gateway_transport(settings, url, api_key=key.text)
        client = ApiClient(transport)
        held.push_async_callback(client.close)
        loops: dict[str, Loop] = {"key": key.run, "metrics": door.run, "clock": clock.run}
        await held.enter_async_context(running_loops(loops, grace_seconds=1))
        if await wait_accepted(client, url, stop, database=database_shown(settings)):
            door.add_check("gateway", partial(client.get, "Domain", "default"))
            say_ready("controllers")
            await lead_controllers(transport, settings, clock, stop)
