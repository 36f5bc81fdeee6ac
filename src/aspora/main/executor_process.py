"""The executor process: an executor with its parts, from settings."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aspora.access.defaults import SYSTEM_EXECUTOR
from aspora.artifacts.interface import ArtifactStore
from aspora.circuits.shared import CHANNEL as CIRCUITS_CHANNEL
from aspora.circuits.shared import SharedCircuits
from aspora.client.api_client import ApiClient
from aspora.client.interface import Client, Wire
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.connectors import InstalledConnectors
from aspora.executor.dead_man import dead_man
from aspora.executor.lease import LeaseLost
from aspora.executor.plan import ClientRevisions
from aspora.executor.process import CHANNELS, ExecutorConfig, ExecutorParts, run_executor
from aspora.kit.clock import Clock, SystemClock
from aspora.kit.supervise import Loop, running_loops
from aspora.main.child import EXIT_LEASE_LOST, open_database
from aspora.main.database_clock import DatabaseClock
from aspora.main.joining import database_shown, gateway_transport, warn_of_other_artifacts
from aspora.main.metrics_door import MetricsDoor
from aspora.main.process_key import ProcessKey, new_place, wait_accepted
from aspora.main.settings import Settings
from aspora.main.spending import EXECUTOR_TERMS, execution_terms, open_escrow
from aspora.main.version import aspora_version
from aspora.main.wiring import artifact_cache, artifact_store, cached_artifacts, model_environment, sandbox_driver
from aspora.meta.errors import Unavailable
from aspora.models.attempts import Attempts
from aspora.models.breaker import Breaker
from aspora.models.catalog import Catalog
from aspora.models.client import HttpModelClient
from aspora.models.interface import ModelClient
from aspora.reconcile.informer import Informer
from aspora.reconcile.interface import Request
from aspora.sandbox.interface import SandboxDriver
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics

READY = {"inline": "executor", "durable": "durable"}
"""What the parent is told when a class of executions is taken."""

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long the thread that imports the durable engine may hold the interpreter while executions wait for it."""

_log = get_logger(__name__)


class LiveCatalog:
    """The catalogue of models as the objects are now, made anew only when one has changed."""

    def __init__(self, client: Client, environment: Mapping[str, str]) -> None:
        self.informers = [Informer(client, "Model"), Informer(client, "Provider")]
        self._environment = environment
        self._catalog: Catalog | None = None
        for informer in self.informers:
            informer.listen(self._forget)

    def _forget(self, _name: Request, _obj: Wire) -> None:
        self._catalog = None

    def __call__(self) -> Catalog:
        """The present catalogue."""
        if self._catalog is None:
            models, providers = (informer.objects() for informer in self.informers)
            self._catalog = Catalog(models, providers, environment=self._environment)
        return self._catalog


async def _require_sandbox(driver: SandboxDriver) -> None:
    """Run something in the sandbox before any execution is taken: it is ready then, or this process must not start.

    Raises:
        Unavailable: Handlers can't be run here; says why. Nothing runs in a weaker sandbox instead.
    """
    probe = await driver.probe()
    if not probe.available:
        raise Unavailable(f"the sandbox can't be used: {probe.message}; find out why: aspora doctor")


def _own_key(settings: Settings, database: Database, artifacts: ArtifactStore, clock: Clock) -> ProcessKey:
    """The key of an executor that nobody gave one; not made yet."""
    place = new_place("executor")
    return ProcessKey(database, settings.database_url, artifacts, clock, roles=(SYSTEM_EXECUTOR,), place=place)


async def serve(
    settings: Settings, config: Mapping[str, Any], stop: asyncio.Event, say_ready: Callable[[str], None]
) -> None:
    """Be an executor until told to stop.

    Args:
        config: `gateway_url`; and `system_key` in `aspora up`, else the process makes a key of its own.

    Raises:
        StatusError: It can't begin; says why.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    async with AsyncExitStack() as held:
        try:
            await _serve(settings, config, stop, say_ready, held)
        except LeaseLost as e:
            _log.error("ending at once", why=str(e))
            sys.stderr.flush()
            os._exit(EXIT_LEASE_LOST)


async def _serve(
    settings: Settings,
    config: Mapping[str, Any],
    stop: asyncio.Event,
    say_ready: Callable[[str], None],
    held: AsyncExitStack,
) -> None:
    """All parts, each given to `held` to be closed as soon as it is there."""
    metrics = Metrics()
    door = held.enter_context(MetricsDoor(metrics, host=settings.metrics_host, port=settings.metrics_port))
    work_connections = settings.executor_slots + 4
    database = await held.enter_async_context(
        await open_database(settings.database_url, max_connections=work_connections)
    )
    lease_database = await held.enter_async_context(
        await Database.open(settings.database_url, max_size=1, application_name="aspora-lease")
    )
    clock = await DatabaseClock.open(database, SystemClock())
    listener = Listener(settings.database_url, (*CHANNELS, CIRCUITS_CHANNEL))
    store = cached_artifacts(settings, artifact_store(settings), metrics)
    held.push_async_callback(store.close)
    loops: dict[str, Loop] = {"listener": listener.run, "metrics": door.run, "clock": clock.run}
    api_key = config.get("system_key")
    if api_key is None:
        key = _own_key(settings, database, store, clock)
        await held.enter_async_context(key.held())
        api_key, loops["key"] = key.text, key.run
    url: str = config["gateway_url"]
    client = ApiClient(gateway_transport(settings, url, api_key=api_key))
    held.push_async_callback(client.close)
    catalog = LiveCatalog(client, model_environment(settings))
    domains, routings = Informer(client, "Domain"), Informer(client, "ModelRouting")
    loops |= {f"informer-{i.kind}": i.run for i in (*catalog.informers, domains, routings)}
    models = await held.enter_async_context(_open_models(database, listener, catalog, clock, metrics))
    connectors = InstalledConnectors()
    held.push_async_callback(connectors.close)
    cache = artifact_cache(settings, store, clock, metrics)
    held.callback(cache.close)
    # Inline and durable executions have slots of their own in the executor, so that neither starves the other here.
    driver = sandbox_driver(settings, slots=2 * settings.executor_slots, warm=settings.sandbox_warm)
    parts = ExecutorParts(
        database=database,
        lease_database=lease_database,
        listener=listener,
        revisions=ClientRevisions(client),
        artifacts=cache,
        blobs=store,
        driver=driver,
        models=models,
        terms_for=execution_terms(settings, domains, routings),
        connectors=connectors,
        dead_man=dead_man(),
        clock=clock,
        metrics=metrics,
    )
    await held.enter_async_context(running_loops(loops, grace_seconds=1))
    held.push_async_callback(driver.close)
    await _require_sandbox(driver)
    if "system_key" in config or await _joined(settings, client, url, store, stop):
        door.add_check("database", database.ping)
        await run_executor(_behaviour(settings), parts, stop, on_ready=lambda what: say_ready(READY[what]))


@asynccontextmanager
async def _open_models(
    database: Database, listener: Listener, catalog: Callable[[], Catalog], clock: Clock, metrics: Metrics
) -> AsyncGenerator[ModelClient]:
    """Models, paid for by a lease of this process's own."""
    name = new_place("executor")
    breaker = Breaker(SharedCircuits(database, listener), name=name, clock=clock, metrics=metrics)
    async with (
        open_escrow(database, name=name, clock=clock, terms=EXECUTOR_TERMS) as ledger,
        running_loops({"circuits": breaker.run}, grace_seconds=1),
    ):
        attempts = Attempts(catalog, ledger=ledger, clock=clock, breaker=breaker)
        try:
            yield HttpModelClient(attempts)
        finally:
            await attempts.close()


async def _joined(settings: Settings, client: Client, url: str, artifacts: ArtifactStore, stop: asyncio.Event) -> bool:
    """Wait for a gateway that knows us, and see whether we look for artifacts where it keeps them."""
    if not await wait_accepted(client, url, stop, database=database_shown(settings)):
        return False
    page = await client.list("Revision", limit=500)
    await warn_of_other_artifacts(artifacts, page.items)
    return True


def _behaviour(settings: Settings) -> ExecutorConfig:
    return ExecutorConfig(
        dsn=settings.database_url,
        version=aspora_version(),
        slots=settings.executor_slots,
        lease_seconds=settings.node_lease_seconds,
        grace_seconds=settings.stop_grace_seconds,
        driver_name=settings.sandbox_driver,
    )
