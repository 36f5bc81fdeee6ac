"""`aspora controllers`: the controllers as a process of their own, over HTTP; one of several leads."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aspora.access.defaults import SYSTEM_CONTROLLER
from aspora.client.api_client import ApiClient
from aspora.kit.clock import SystemClock
from aspora.kit.supervise import run_loops
from aspora.main.child import open_database
from aspora.main.controlling import lead_controllers
from aspora.main.joining import gateway_transport
from aspora.main.metrics_door import MetricsDoor
from aspora.main.process_key import ProcessKey, new_place, wait_accepted
from aspora.main.settings import Settings
from aspora.main.wiring import artifact_store
from aspora.telemetry.metrics import Metrics

MAX_CONNECTIONS = 2


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
        transport = gateway_transport(settings, url, api_key=key.text)
        client = ApiClient(transport)
        support_stop = asyncio.Event()
        support = asyncio.create_task(
            run_loops({"key": key.run, "metrics": door.run}, support_stop, grace_seconds=1), name="support"
        )
        try:
            if await wait_accepted(client, url, stop):
                door.add_check("gateway", partial(client.get, "Domain", "default"))
                say_ready("controllers")
                await lead_controllers(transport, settings, clock, stop)
        finally:
            support_stop.set()
            await support
            await client.close()
            await key.remove()
