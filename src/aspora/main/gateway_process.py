"""The gateway process: the HTTP doors over one store, and the controllers over an in-process client."""

import asyncio
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from aspora.apis.builtins import load_kinds
from aspora.apis.conversion import KindForms
from aspora.artifacts.interface import ArtifactStore
from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.controllers.builtins import BUILTINS as CONTROLLERS
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.starter import DurableStarter
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.artifacts import ArtifactDoor, artifact_routes
from aspora.gateway.connection import BoundedConnection
from aspora.gateway.objects.assembly import ObjectParts, assemble
from aspora.gateway.objects.bootstrap import admin_key, system_key
from aspora.gateway.openapi import openapi_document, openapi_routes
from aspora.gateway.serve.routes import CHANNELS as SERVE_CHANNELS
from aspora.gateway.serve.routes import ServeDoor, serve_routes
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock, SystemClock
from aspora.kit.registry import load_object
from aspora.kit.supervise import Loop, run_loops
from aspora.main.child import open_database
from aspora.main.secret_key import open_keyring
from aspora.main.settings import Settings
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_store
from aspora.models.defaults import default_objects
from aspora.reconcile.controller import Controller
from aspora.records.maintenance import maintain_records
from aspora.sealing.keyring import Keyring
from aspora.store.maintenance import maintain_objects
from aspora.store.postgres import CHANNEL as OBJECTS_CHANNEL
from aspora.store.postgres import PostgresStore
from aspora.telemetry.metrics import Metrics

MAX_CONNECTIONS = 16


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process has one stop, and cleans up after it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


@dataclass(frozen=True, slots=True)
class _Gateway:
    """The parts of one gateway; `let_go` ends streams and waits, so that a stop need not sit them out."""

    app: ASGIApp
    objects: ObjectParts
    let_go: Callable[[], None]
    loops: Mapping[str, Loop]


def _build(
    settings: Settings, database: Database, listener: Listener, artifacts: ArtifactStore, keyring: Keyring
) -> _Gateway:
    clock, metrics = SystemClock(), Metrics()
    kinds = list(load_kinds())
    store = PostgresStore(database, listener, clock, forms=KindForms(kinds))
    streams = Streams(metrics=metrics)
    objects = assemble(
        store=store,
        kinds=kinds,
        tail_age_seconds=store.tail_age_seconds,
        artifacts=artifacts,
        clock=clock,
        metrics=metrics,
        streams=streams,
        sealer=keyring,
    )
    serve = ServeDoor(
        database=database,
        listener=listener,
        reader=objects.view,
        blobs=artifacts,
        starter=DurableStarter(),
        streams=streams,
        clock=clock,
    )
    own = [*serve_routes(serve), *artifact_routes(ArtifactDoor(artifacts, objects.view))]
    document = partial(openapi_document, kinds, own, version=aspora_version())
    config = AppConfig(
        authenticate=objects.authenticate,
        clock=clock,
        metrics=metrics,
        version=aspora_version(),
        ready_checks={"database": database.ping, "objects": objects.view.require_fresh},
    )
    loops: dict[str, Loop] = {
        "listener": listener.run,
        "store": store.run,
        "view": objects.view.run,
        "serve": serve.run,
        "object-partitions": partial(maintain_objects, database),
        "record-partitions": partial(maintain_records, database),
    }

    def let_go() -> None:
        streams.close_all()
        serve.release_waiters()

    return _Gateway(build_app(config, [own, openapi_routes(document), objects.routes]), objects, let_go, loops)


def _controller_loops(client: ApiClient, clock: Clock) -> dict[str, Loop]:
    """Every controller and the informers that it lives on."""
    loops: dict[str, Loop] = {}
    for name, target in CONTROLLERS.items():
        controller: Controller = load_object(target)(client, clock)
        loops[f"controller-{name}"] = controller.run
        loops |= {f"controller-{name}-{informer.kind}": informer.run for informer in controller.informers}
    return loops


def _server(gateway: _Gateway, settings: Settings, *, with_tls: bool) -> _Server:
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
    return _Server(config)


async def _serve_http(gateway: _Gateway, settings: Settings, fds: Sequence[int], stop: asyncio.Event) -> None:
    """Serve on the inherited sockets until told to stop, then drain.

    Args:
        fds: The public socket; behind it, when that speaks TLS, the plain one on loopback for Aspora's own processes.
    """
    with ExitStack() as sockets:
        servers: list[_Server] = []
        serving: list[asyncio.Task[None]] = []
        for i, fd in enumerate(fds):
            server = _server(gateway, settings, with_tls=i == 0 and bool(settings.tls_cert))
            bound = sockets.enter_context(socket.socket(fileno=fd))
            servers.append(server)
            serving.append(asyncio.create_task(server.serve(sockets=[bound])))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        gateway.let_go()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving)


async def serve(
    settings: Settings, config: Mapping[str, Any], stop: asyncio.Event, say_ready: Callable[[str], None]
) -> None:
    """Be a gateway until told to stop."""
    database = await open_database(settings.database_url, max_connections=MAX_CONNECTIONS)
    listener = Listener(settings.database_url, (OBJECTS_CHANNEL, *SERVE_CHANNELS))
    keyring = await open_keyring(settings, database)
    gateway = _build(settings, database, listener, artifact_store(settings), keyring)
    client = ApiClient(AsgiTransport(gateway.app, api_key=config["system_key"]))
    support_stop = asyncio.Event()
    support = asyncio.create_task(run_loops(gateway.loops, support_stop, grace_seconds=2))
    try:
        keys = [admin_key(config["admin_key"]), system_key(config["system_key"])]
        await gateway.objects.bootstrap.run(shipped=default_objects(), keys=keys)
        await gateway.objects.view.wait_synced()
        await gateway.objects.secrets.mark(keyring.state())
        controllers = asyncio.create_task(
            run_loops(_controller_loops(client, SystemClock()), stop, grace_seconds=settings.stop_grace_seconds)
        )
        say_ready("gateway")
        await _serve_http(gateway, settings, config["socket_fds"], stop)
        stop.set()
        await controllers
    finally:
        support_stop.set()
        await support
        await client.close()
        await database.close()
