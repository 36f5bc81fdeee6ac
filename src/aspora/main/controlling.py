"""The controllers of one leader's term: a client that writes as the leader, shared informers, one loop each."""

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial

from aspora.client.api_client import ApiClient
from aspora.client.transport import Transport
from aspora.controllers.builtins import BUILTINS
from aspora.controllers.interface import ControllerParts, Policy
from aspora.db.advisory import PostgresLeaderLock
from aspora.kit.clock import Clock
from aspora.kit.registry import load_object
from aspora.kit.supervise import Loop, run_loops
from aspora.main.settings import Settings
from aspora.meta.surroundings import Leadership
from aspora.reconcile.controller import Controller
from aspora.reconcile.events import ClientEventRecorder
from aspora.reconcile.informers import Informers
from aspora.reconcile.leader import run_as_leader

LEADER = "controllers"
"""The name of the lock; one process leads, the others stand by."""

GRACE_SECONDS = 1.0
_Build = Callable[[ControllerParts], Controller]


async def lead_controllers(transport: Transport, settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Run the controllers whenever this process leads, until told to stop.

    Args:
        transport: To a gateway; stays open.
        settings: The database that holds the lock, the policy, the grace.
        clock: For conditions.
    """
    lock = PostgresLeaderLock(settings.database_url, name=LEADER, holder=f"{socket.gethostname()}/{os.getpid()}")
    run = partial(run_controllers, transport, settings, clock)
    await run_as_leader(lock, run, stop, grace_seconds=settings.stop_grace_seconds + 2 * GRACE_SECONDS)


async def run_controllers(
    transport: Transport, settings: Settings, clock: Clock, leadership: Leadership, stop: asyncio.Event
) -> None:
    """All controllers for one term; what each is doing at the stop is finished within the grace."""
    client = ApiClient(transport, leader=leadership)
    informers = Informers(client)
    policy = Policy(kept_revisions=settings.keep_revisions)
    loops: dict[str, Loop] = {}
    support: dict[str, Loop] = {}
    for name, target in BUILTINS.items():
        events = ClientEventRecorder(client, controller=f"{name}-controller", clock=clock)
        build: _Build = load_object(target)
        controller = build(ControllerParts(client, client, informers, clock, events, policy))
        loops[f"controller-{name}"] = controller.run
        support[f"events-{name}"] = events.run
    support["informers"] = informers.run
    support_stop = asyncio.Event()
    supporting = asyncio.create_task(run_loops(support, support_stop, grace_seconds=GRACE_SECONDS))
    try:
        await run_loops(loops, stop, grace_seconds=settings.stop_grace_seconds)
    finally:
        support_stop.set()
        await supporting
