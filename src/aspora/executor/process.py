"""An executor process from registration to its end: the inline class at once, the durable class when it is loaded.

`main` wires it: it hands over open parts, and closes them afterwards.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.attempt import Attempts
from aspora.executor.conduct import Conductor
from aspora.executor.dead_man import DeadMan
from aspora.executor.effect_calls import EffectCalls
from aspora.executor.event_writer import EventWriter, FlushedSteps
from aspora.executor.handler import HandlerWorker
from aspora.executor.inline import InlineDispatcher
from aspora.executor.interface import ArtifactSource, Blobs, ConnectorCaller, RevisionSource
from aspora.executor.journal import KeptSteps
from aspora.executor.lease import LeaseLost, NodeLease
from aspora.executor.persisting import persist
from aspora.executor.plan import Plans
from aspora.executor.running import Running
from aspora.executor.skill_agent import AgentWorker
from aspora.executor.skill_events import SkillEvents
from aspora.executor.sweeps import Sweeper
from aspora.executor.work import ModelTerms, Work
from aspora.kit.clock import Clock, SteadyClock
from aspora.kit.registry import load_object
from aspora.kit.supervise import Loop, run_loops, wait_for_any, wait_for_event
from aspora.meta.errors import Timeout, Unavailable
from aspora.meta.names import ExecutionId, NodeId
from aspora.models.interface import ModelClient
from aspora.records.effects import Effects
from aspora.records.events import Events
from aspora.records.executions import Executions
from aspora.records.happenings import Happenings
from aspora.records.nodes import NodeFacts, Nodes
from aspora.records.rows import Owner
from aspora.records.state import ExecutionClass
from aspora.records.steps import Steps
from aspora.records.wakeups import CANCELLED, PENDING, QUEUED, Wakeups
from aspora.sandbox.interface import SandboxDriver
from aspora.telemetry.cache_metrics import CacheCounts
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics

DURABLE_RUNTIME: Final = "aspora.executor.durable.runtime:DurableRuntime"
ROLE: Final = "executor"
CHANNELS: Final = (PENDING, QUEUED, CANCELLED)
"""What the executor's listener must listen to."""

_FORCED_STOP_SECONDS: Final = 4.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorConfig:
    """How one executor behaves.

    Attributes:
        dsn: The database, for the durable engine's own connections.
        slots: Inline executions at once, and durable ones at once.
        lease_seconds: How long the node is trusted without a sign of life.
        grace_seconds: How long running work may take to end at a stop.
        driver_name: Name of the sandbox driver, for the record.
    """

    dsn: str
    version: str
    slots: int = 16
    lease_seconds: float = 10.0
    grace_seconds: float = 10.0
    driver_name: str = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorParts:
    """What an executor works with; all open, and closed by whoever opened them. The listener must hear `CHANNELS`.

    Attributes:
        lease_database: The same database over a connection that nothing but the lease uses: while work waits for those
            of `database`, the node is no less alive.
        terms_for: Says which models an attempt asks, and who pays.
    """

    database: Database
    lease_database: Database
    listener: Listener
    revisions: RevisionSource
    artifacts: ArtifactSource
    blobs: Blobs
    driver: SandboxDriver
    models: ModelClient
    terms_for: Callable[[Work], ModelTerms]
    connectors: ConnectorCaller
    dead_man: DeadMan
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)


def new_node_id() -> NodeId:
    """A name that no node had before: host, process, 32 random bits."""
    host = socket.gethostname().split(".")[0].lower() or "host"
    return NodeId(f"{host[:40]}-{os.getpid()}-{secrets.token_hex(4)}")


async def run_executor(
    config: ExecutorConfig, parts: ExecutorParts, stop: asyncio.Event, *, on_ready: Callable[[str], None]
) -> None:
    """Be an executor until told to stop.

    Args:
        on_ready: Told `inline`, and some seconds later `durable`, when executions of that class are taken.

    Raises:
        LeaseLost: The node could not prove that it is alive and has ended its handlers. The process must end at once,
            by `os._exit`: threads of the durable engine may hang on the database. The dead man's switch stays armed.
    """
    nodes = Nodes(parts.database)
    steady = SteadyClock(parts.clock)
    facts = NodeFacts(id=new_node_id(), role=ROLE, host=socket.gethostname(), pid=os.getpid(), version=config.version)
    since = steady.monotonic()
    owner = await nodes.register(facts, ttl_seconds=config.lease_seconds)
    asked_at = steady.monotonic()
    steady.set(await nodes.now(), asked_at=asked_at)
    _log.info("node registered", node=owner.node, epoch=owner.epoch)
    executor = _Executor(config, replace(parts, clock=steady), steady, owner, nodes, on_ready, since=since)
    await executor.run(stop)
    try:
        await nodes.stop(owner)
    except (Unavailable, Timeout) as error:
        _log.warning("end of the node not recorded, its lease will run out", node=owner.node, reason=error.reason)
    parts.dead_man.disarm()


class _Executor:
    """The parts of one executor, put together."""

    def __init__(
        self,
        config: ExecutorConfig,
        parts: ExecutorParts,
        steady: SteadyClock,
        owner: Owner,
        nodes: Nodes,
        on_ready: Callable[[str], None],
        *,
        since: float,
    ) -> None:
        self._config = config
        self._parts = parts
        self._owner = owner
        self._nodes = nodes
        self._on_ready = on_ready
        self._classes: list[ExecutionClass] = ["inline"]
        self._durable_ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._executions = Executions(parts.database)
        self._steps = Steps(parts.database)
        self._running = Running()
        self._wakeups = Wakeups(parts.database)
        self._skill_events = SkillEvents(Happenings(parts.database), self._wakeups)
        self._writer = EventWriter(Events(parts.database), self._wakeups, owner)
        self._agent = AgentWorker(
            models=parts.models,
            book=self._executions,
            blobs=parts.blobs,
            clock=parts.clock,
            terms_for=parts.terms_for,
        )
        self._conductor = self._make_conductor()
        self._lease = NodeLease(
            Nodes(parts.lease_database),
            owner,
            ttl_seconds=config.lease_seconds,
            clock=steady,
            since=since,
            classes=lambda: self._classes,
            dead_man=parts.dead_man,
            on_renewed=lambda at, asked_at: steady.set(at, asked_at=asked_at),
        )

    def _make_conductor(self) -> Conductor:
        parts = self._parts
        handler = HandlerWorker(
            parts.driver,
            driver_name=self._config.driver_name,
            blobs=parts.blobs,
            effects=EffectCalls(
                Effects(parts.database), connectors=parts.connectors, blobs=parts.blobs, clock=parts.clock
            ),
            clock=parts.clock,
        )
        attempts = Attempts(
            plans=Plans(parts.revisions, meter=CacheCounts(parts.metrics, "revisions")),
            artifacts=parts.artifacts,
            blobs=parts.blobs,
            handler=handler,
            agent=self._agent,
            clock=parts.clock,
            settle=handler.settle_earlier,
        )
        return Conductor(
            attempts=attempts,
            executions=self._executions,
            running=self._running,
            writer=self._writer,
            wakeups=self._wakeups,
            clock=parts.clock,
            is_lost=self._lost.is_set,
            skill_events=self._skill_events,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """All loops; the loops that others need to end well are stopped after the others."""
        lost = self._lost
        work_stop, support_stop = asyncio.Event(), asyncio.Event()
        support = asyncio.create_task(run_loops(self._support_loops(), support_stop, grace_seconds=1.0))
        work = asyncio.create_task(self._work(work_stop))
        try:
            await wait_for_any(stop, lost)
            work_stop.set()
            if not lost.is_set():
                await _end(work, lost, within_seconds=self._config.grace_seconds)
            if lost.is_set():
                # First what may still act in the world; the rest is rows that the fence refuses anyway.
                await self._parts.driver.close()
                _log.error("handlers ended, the lease being lost", node=self._owner.node)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            support_stop.set()
            await support
        if lost.is_set():
            raise LeaseLost(f"node {self._owner.node} lost its lease and has ended its work")

    def _support_loops(self) -> Mapping[str, Loop]:
        async def hold_lease(stop: asyncio.Event) -> None:
            try:
                await self._lease.run(stop)
            except LeaseLost as error:
                _log.error("lease lost, ending at once", node=self._owner.node, cause=str(error))
                self._lost.set()

        return {
            "lease": hold_lease,
            "wakeups": self._wakeups.run,
            "events": self._writer.run,
            "skill-events": self._skill_events.run,
            "cancel": self._watch_cancellations,
        }

    async def _work(self, stop: asyncio.Event) -> None:
        dispatcher = InlineDispatcher(
            self._executions, self._conductor, self._parts.listener, self._owner, slots=self._config.slots
        )
        sweeper = Sweeper(
            self._executions,
            self._wakeups,
            lease_seconds=self._config.lease_seconds,
            skill_events=self._skill_events,
        )
        self._on_ready("inline")
        await run_loops(
            {
                "inline": dispatcher.run,
                "sweeps": sweeper.run,
                "durable": self._be_durable,
                "agent": self._preload_agent,
            },
            stop,
            grace_seconds=self._config.grace_seconds + _FORCED_STOP_SECONDS,
        )

    async def _watch_cancellations(self, stop: asyncio.Event) -> None:
        await self._running.watch_cancellations(self._executions, self._parts.listener, self._owner, stop)

    async def _preload_agent(self, stop: asyncio.Event) -> None:
        """Import the agent loop while nobody waits for it, after the durable engine: both together delay all else."""
        await wait_for_any(self._durable_ready, stop)
        if not stop.is_set():
            await self._agent.preload()

    async def _be_durable(self, stop: asyncio.Event) -> None:
        """Load the engine in a thread, run it until the stop."""
        make: Any = await asyncio.to_thread(load_object, DURABLE_RUNTIME)
        if stop.is_set():
            return
        runtime = make(
            dsn=self._config.dsn,
            owner=self._owner,
            nodes=self._nodes,
            listener=self._parts.listener,
            slots=self._config.slots,
            execute=self._execute_durable,
            clock=self._parts.clock,
            recover_seconds=self._config.lease_seconds / 3,
        )
        if not await runtime.start(stop):
            return
        try:
            self._classes.append("durable")
            self._lease.renew_soon()
            self._durable_ready.set()
            self._on_ready("durable")
            loops = {"listen": runtime.listen, "recover": runtime.recover, "forget": runtime.forget}
            await run_loops(loops, stop, grace_seconds=1.0)
        finally:
            self._classes.remove("durable")
            await runtime.stop(grace_seconds=0.0 if self._lost.is_set() else self._config.grace_seconds)

    async def _execute_durable(self, execution: ExecutionId) -> None:
        claim = await persist(
            lambda: self._executions.claim_durable(execution, self._owner), execution=execution, what="claim"
        )
        if claim is not None:
            steps = KeptSteps(self._steps, claim, is_lost=self._lost.is_set)
            await self._conductor.conduct(claim, FlushedSteps(steps, self._writer))


async def _end(work: "asyncio.Task[None]", lost: asyncio.Event, *, within_seconds: float) -> None:
    """Wait for the work's end, but no longer than its grace and only while the lease is held."""
    if within_seconds <= 0:
        return
    losing = asyncio.create_task(wait_for_event(lost, within_seconds + _FORCED_STOP_SECONDS))
    try:
        await asyncio.wait({work, losing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
