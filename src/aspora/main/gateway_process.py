"""The gateway process: the HTTP doors over one store; in `aspora up` the controllers too, over an in-process client."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from aspora.access.keys import KeyId, mint_key
from aspora.apis.builtins import load_kinds
from aspora.apis.conversion import KindForms
from aspora.artifacts.interface import ArtifactStore
from aspora.audit.maintenance import RETAINED as AUDIT_RECORDS
from aspora.audit.maintenance import maintain_audit
from aspora.audit.trail import Audit
from aspora.circuits.shared import CHANNEL as CIRCUITS_CHANNEL
from aspora.circuits.shared import SharedCircuits
from aspora.client.asgi_transport import AsgiTransport
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.starter import DurableStarter
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.artifacts import ArtifactDoor, artifact_routes
from aspora.gateway.budgets.contract import SCHEMAS as BUDGET_SCHEMAS
from aspora.gateway.budgets.routes import budget_routes
from aspora.gateway.connection import BoundedConnection
from aspora.gateway.history.contract import SCHEMAS as HISTORY_SCHEMAS
from aspora.gateway.history.routes import CHANNELS as HISTORY_CHANNELS
from aspora.gateway.history.routes import HistoryDoor, history_routes
from aspora.gateway.objects.assembly import ObjectParts, assemble
from aspora.gateway.objects.bootstrap import Bootstrap, admin_key, system_key
from aspora.gateway.openai.routes import ModelDoor, model_routes
from aspora.gateway.openapi import openapi_document, openapi_routes
from aspora.gateway.serve.contract import SCHEMAS as EXECUTION_SCHEMAS
from aspora.gateway.serve.health import HealthDoor, health_routes
from aspora.gateway.serve.routes import CHANNELS as SERVE_CHANNELS
from aspora.gateway.serve.routes import ServeDoor, serve_routes
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock, SystemClock
from aspora.kit.supervise import Loop, run_loops, running_loops, wait_for_stop
from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.interface import Ledger
from aspora.ledger.maintenance import RETAINED as LEDGER_RECORDS
from aspora.ledger.maintenance import maintain_ledger
from aspora.ledger.thresholds import LedgerThresholds
from aspora.main.child import open_database
from aspora.main.controlling import lead_controllers
from aspora.main.database_clock import DatabaseClock
from aspora.main.endpoint import write_private
from aspora.main.joining import place_of, warn_of_other_artifacts
from aspora.main.metrics_door import QuietServer, serving
from aspora.main.process_key import new_place
from aspora.main.secret_key import open_keyring
from aspora.main.settings import Settings
from aspora.main.spending import open_escrow, platform_limits
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_store, model_environment
from aspora.meta.errors import Unavailable
from aspora.models.breaker import Breaker
from aspora.models.budget_events import BudgetEvents
from aspora.models.defaults import default_objects
from aspora.records.health import Healths
from aspora.records.maintenance import maintain_records
from aspora.records.retention import RETAINED as RECORDS
from aspora.sealing.keyring import Keyring
from aspora.store.maintenance import maintain_objects
from aspora.store.postgres import CHANNEL as OBJECTS_CHANNEL
from aspora.store.postgres import PostgresStore
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics

_log = get_logger(__name__)

MAX_CONNECTIONS = 16
FIRST_ADMIN_KEY = "first-admin"
"""Name of the ApiKey that a new database gets from a gateway of its own."""


@dataclass(frozen=True, slots=True)
class _Gateway:
    """The parts of one gateway.

    Attributes:
        drain: Makes `/readyz` fail; all else goes on.
        let_go: Ends streams and waits, so that a stop need not sit them out.
        close: Closes connections to upstreams.
    """

    app: ASGIApp
    objects: ObjectParts
    drain: Callable[[], None]
    let_go: Callable[[], None]
    close: Callable[[], Awaitable[None]]
    loops: Mapping[str, Loop]


def _build(
    settings: Settings,
    database: Database,
    listener: Listener,
    artifacts: ArtifactStore,
    keyring: Keyring,
    clock: DatabaseClock,
    ledger: Ledger,
    fired: asyncio.Event,
) -> _Gateway:
    metrics, kinds, audit = Metrics(), list(load_kinds()), Audit(database)
    store, streams = PostgresStore(database, listener, clock, forms=KindForms(kinds)), Streams(metrics=metrics)
    objects = assemble(
        store=store,
        kinds=kinds,
        tail_age_seconds=store.tail_age_seconds,
        artifacts=artifacts,
        clock=clock,
        metrics=metrics,
        streams=streams,
        trail=audit,
        sealer=keyring,
        records={**EXECUTION_SCHEMAS, **HISTORY_SCHEMAS, **BUDGET_SCHEMAS},
    )
    serve = ServeDoor(
        database=database,
        listener=listener,
        reader=objects.view,
        blobs=artifacts,
        starter=DurableStarter(),
        streams=streams,
        clock=clock,
        trail=audit,
    )
    history = HistoryDoor(
        database=database, audit=audit, listener=listener, reader=objects.view, streams=streams, clock=clock
    )
    models = _model_door(settings, database, listener, objects, serve, ledger, streams, clock, metrics)
    own = [*health_routes(HealthDoor(Healths(database), objects.view, clock)), *serve_routes(serve)]
    own += [*history_routes(history), *artifact_routes(ArtifactDoor(artifacts, objects.view)), *model_routes(models)]
    own += budget_routes(database, objects.view, clock, audit)
    draining, document = asyncio.Event(), partial(openapi_document, kinds, own, version=aspora_version())
    config = _frame(objects, audit, clock, metrics, _ready_checks(draining, database, objects))
    loops: dict[str, Loop] = {"listener": listener.run, "store": store.run, "view": objects.view.run}
    loops |= {"serve": serve.run, "history": history.run, "secrets": partial(objects.secrets.run, keyring.state)}
    told = BudgetEvents(LedgerThresholds(database), objects.view, fired, metrics=metrics, on_told=history.tell_happened)
    loops |= {"clock": clock.run, "models": models.run, "budget-events": told.run} | _maintenance(settings, database)

    def let_go() -> None:
        streams.close_all()
        serve.release_waiters()

    app = build_app(config, [own, openapi_routes(document), objects.routes])
    return _Gateway(app, objects, draining.set, let_go, models.close, loops)


def _frame(
    objects: ObjectParts,
    audit: Audit,
    clock: DatabaseClock,
    metrics: Metrics,
    ready_checks: Mapping[str, Callable[[], Awaitable[None]]],
) -> AppConfig:
    return AppConfig(
        authenticate=objects.authenticate,
        impersonate=objects.authenticate.impersonate,
        trail=audit,
        clock=clock,
        metrics=metrics,
        version=aspora_version(),
        ready_checks=ready_checks,
    )


def _model_door(
    settings: Settings,
    database: Database,
    listener: Listener,
    objects: ObjectParts,
    serve: ServeDoor,
    ledger: Ledger,
    streams: Streams,
    clock: DatabaseClock,
    metrics: Metrics,
) -> ModelDoor:
    return ModelDoor(
        reader=objects.view,
        version=objects.view.version_of,
        environment=model_environment(settings),
        ledger=ledger,
        accounts=LedgerAccounts(database),
        platform=platform_limits(settings),
        skills=serve.skills,
        breaker=Breaker(SharedCircuits(database, listener), name=new_place("gateway"), clock=clock, metrics=metrics),
        streams=streams,
        clock=clock,
        metrics=metrics,
    )


def _maintenance(settings: Settings, database: Database) -> dict[str, Loop]:
    """Day partitions made ahead, and dropped when they are old enough."""
    retained = (*RECORDS, *AUDIT_RECORDS, *LEDGER_RECORDS)
    return {
        "ledger": partial(maintain_ledger, database, keep_days=settings.record_days),
        "object-partitions": partial(maintain_objects, database),
        "record-partitions": partial(maintain_records, database, keep_days=settings.record_days, retained=retained),
        "audit-partitions": partial(maintain_audit, database),
    }


def _ready_checks(
    draining: asyncio.Event, database: Database, objects: ObjectParts
) -> dict[str, Callable[[], Awaitable[None]]]:
    """What must hold for a load balancer to send requests here."""
    return {
        "serving": partial(_require_serving, draining),
        "database": database.ping,
        "objects": objects.view.require_fresh,
    }


async def _require_serving(draining: asyncio.Event) -> None:
    if draining.is_set():
        raise Unavailable("the gateway is stopping; send the request again")


def _server(gateway: _Gateway, settings: Settings, *, with_tls: bool) -> QuietServer:
    config = uvicorn.Config(
        gateway.app,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.stop_grace_seconds,
        ssl_certfile=settings.tls_cert if with_tls else None,
        ssl_keyfile=settings.tls_key if with_tls else None,
    )
    return QuietServer(config)


async def _serve_http(
    gateway: _Gateway, settings: Settings, sockets: Sequence[socket.socket], stop: asyncio.Event
) -> None:
    """Serve on the inherited sockets until told to stop; then let a load balancer turn away, and finish what came.

    Args:
        sockets: The public one; behind it, when that speaks TLS, the plain one on loopback for Aspora's own processes.
    """
    tls = [i == 0 and bool(settings.tls_cert) for i in range(len(sockets))]
    servers = [_server(gateway, settings, with_tls=with_tls) for with_tls in tls]

    def end() -> None:
        gateway.let_go()
        for server in servers:
            server.should_exit = True

    async with AsyncExitStack() as held:
        tasks = [
            await held.enter_async_context(serving(server, [bound]))
            for server, bound in zip(servers, sockets, strict=True)
        ]
        held.callback(end)
        await wait_for_stop(stop, *tasks)
        gateway.drain()
        if settings.drain_seconds and stop.is_set():
            await asyncio.wait(tasks, timeout=settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)


async def _bootstrap(bootstrap: Bootstrap, settings: Settings, config: Mapping[str, Any]) -> None:
    """What a new database begins with, and the keys of `aspora up`; a gateway of its own brings no key along, but for
    the administrator's in a database without one.
    """
    shipped = default_objects()
    if "admin_key" in config:
        place = place_of(settings.data_dir)
        keys = [admin_key(config["admin_key"], place=place), system_key(config["system_key"], place=place)]
        return await bootstrap.run(shipped=shipped, keys=keys)
    if await bootstrap.has_key("admin"):
        return await bootstrap.run(shipped=shipped, keys=())
    path = Path(config["admin_key_path"])
    # Of several gateways that start at once over a new database one makes the object of that name, and its key counts.
    key = admin_key(mint_key(KeyId("", FIRST_ADMIN_KEY)).text, place=place_of(settings.data_dir))
    write_private(path, key.text + "\n")
    await bootstrap.run(shipped=shipped, keys=[key])
    if await bootstrap.knows(key):
        _log.info("this database had no administrator's key yet; it lies in a file now", path=path)
    else:
        path.unlink(missing_ok=True)


async def serve(
    settings: Settings, config: Mapping[str, Any], stop: asyncio.Event, say_ready: Callable[[str], None]
) -> None:
    """Be a gateway until told to stop.

    Args:
        config: `socket_fds`; and `admin_key` and `system_key` in `aspora up`, where the controllers run here too, or
            `admin_key_path`, where the key goes that a new database gets.
    """
    async with AsyncExitStack() as held:
        sockets = [held.enter_context(socket.socket(fileno=fd)) for fd in config["socket_fds"]]
        database = await held.enter_async_context(
            await open_database(settings.database_url, max_connections=MAX_CONNECTIONS)
        )
        channels = (OBJECTS_CHANNEL, *SERVE_CHANNELS, *HISTORY_CHANNELS, CIRCUITS_CHANNEL)
        listener = Listener(settings.database_url, channels)
        artifacts = artifact_store(settings)
        keyring = await open_keyring(settings, database)
        clock = await DatabaseClock.open(database, SystemClock())
        fired = asyncio.Event()
        ledger = await held.enter_async_context(
            open_escrow(database, name=new_place("gateway"), clock=clock, on_fired=fired.set)
        )
        gateway = _build(settings, database, listener, artifacts, keyring, clock, ledger, fired)
        held.push_async_callback(gateway.close)
        await held.enter_async_context(running_loops(gateway.loops, grace_seconds=2))
        await _bootstrap(gateway.objects.bootstrap, settings, config)
        await gateway.objects.view.wait_synced()
        await gateway.objects.secrets.mark(keyring.state())
        if "system_key" in config:
            await held.enter_async_context(_controllers(gateway, settings, clock, config["system_key"], stop))
        await warn_of_other_artifacts(artifacts, await gateway.objects.view.list("Revision"))
        say_ready("gateway")
        await _serve_http(gateway, settings, sockets, stop)


@asynccontextmanager
async def _controllers(
    gateway: _Gateway, settings: Settings, clock: Clock, key: str, stop: asyncio.Event
) -> AsyncGenerator[None]:
    """Run the controllers beside the block; at its end they finish what they do, when it fails they are cancelled."""
    leading = partial(lead_controllers, AsgiTransport(gateway.app, api_key=key), settings, clock)
    loops = run_loops({"controllers": leading}, stop, grace_seconds=settings.stop_grace_seconds)
    running = asyncio.create_task(loops)
    try:
        yield
        stop.set()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
