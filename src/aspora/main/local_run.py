"""Runs a skill straight from its folder: the executor's own workers, without a server, a database or a record."""

import asyncio
import itertools
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from aspora.apis.revision import revision_name
from aspora.apis.skill_class import execution_class
from aspora.artifacts.interface import digest_of
from aspora.cli.plan import RunPlan
from aspora.controllers.skill import skill_digest
from aspora.db.data_dir import prepare_data_dir
from aspora.evals.golden import RunFailed
from aspora.evals.report import SuiteReport
from aspora.evals.suites import run_suites
from aspora.executor.attempt import Attempts
from aspora.executor.failures import ExecutionFailed
from aspora.executor.handler import HandlerWorker
from aspora.executor.journal import CallThrough
from aspora.executor.plan import Plans
from aspora.executor.results import Given
from aspora.executor.skill_agent import AgentWorker
from aspora.executor.trace import Trace
from aspora.executor.work import ModelTerms, Work
from aspora.kit.clock import Clock, SystemClock
from aspora.ledger.local import LocalLedger
from aspora.main.settings import Settings
from aspora.main.spending import new_call_id, payer_of, platform_limits, skill_choice
from aspora.main.wiring import sandbox_driver, shipped_catalog
from aspora.meta.errors import API_VERSION, NotFound, StatusError, Unavailable
from aspora.meta.names import ExecutionId, NodeId
from aspora.meta.objects import rfc3339
from aspora.models.attempts import Attempts as ModelAttempts
from aspora.models.client import HttpModelClient
from aspora.models.defaults import shipped_routing
from aspora.models.failures import ModelNotConfigured
from aspora.models.limits import charge_of
from aspora.records.rows import Claim, ExecutionEvent, ModelCall, Owner
from aspora.skills import LoadedSkill, load_skill, unpack
from aspora.telemetry.logs import configure_logging

Wire = dict[str, Any]

LOCAL_ID = ExecutionId("EXEC-local")
TEST_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
"""What a skill's unit tests see of the caller's environment: never a key."""

_QUEUE_SECONDS = 60
_WHO = "local"


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A run that nobody has recorded, in the forms that a recorded one has."""

    execution: Wire
    events: list[Wire]


@dataclass(slots=True)
class _Memory:
    """What a server would keep: the revision, the files, large results, model calls."""

    revision: Wire
    folder: Path
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    calls: list[ModelCall] = field(default_factory=list[ModelCall])

    async def load(self, domain: str, name: str) -> Wire:
        """The one revision."""
        return self.revision

    @asynccontextmanager
    async def lease(self, digest: str) -> AsyncGenerator[Path]:
        """The one folder."""
        yield self.folder

    async def put(self, data: bytes) -> str:
        """Keep a large value."""
        digest = digest_of(data)
        self.blobs[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        """A large value."""
        if digest not in self.blobs:
            raise NotFound(f"nothing is kept under {digest!r}; run the folder again")
        return self.blobs[digest]

    async def record_model_call(self, claim: Claim, call: ModelCall) -> None:
        """Count a model call."""
        self.calls.append(call)


def _terms(settings: Settings) -> Callable[[Work], ModelTerms]:
    """How each run calls models: it pays by itself, for its record has always the same id."""
    runs, routing = itertools.count(1), shipped_routing()

    def terms(work: Work) -> ModelTerms:
        payer = replace(payer_of(work), execution=f"{LOCAL_ID}-{next(runs)}")
        charge = charge_of(payer, platform=platform_limits(settings), budget=work.plan.spec.model.cost_budget)
        return ModelTerms(skill_choice(work, routing).models, charge)

    return terms


def revision_of(skill: LoadedSkill) -> Wire:
    """The Revision that a server would make of a skill; the same name and digest."""
    digest = skill_digest(skill.spec)
    spec = {
        "skill": skill.name,
        "digest": digest,
        "version": skill.spec.get("version") or _WHO,
        "skillSpec": dict(skill.spec),
    }
    metadata = {"name": revision_name(skill.name, digest), "domain": skill.domain}
    return {"apiVersion": API_VERSION, "kind": "Revision", "metadata": metadata, "spec": spec}


class LocalRunner:
    """Runs one skill as often as asked; made by `open_runner`."""

    def __init__(self, skill: LoadedSkill, *, memory: _Memory, attempts: Attempts, clock: Clock) -> None:
        self._skill = skill
        self._memory = memory
        self._attempts = attempts
        self._clock = clock

    async def run(self, wire_input: Mapping[str, Any]) -> LocalRun:
        """One run to its end; a failure of the skill is in the execution's status, as in a record."""
        self._memory.calls.clear()
        claim = self._claim(wire_input)
        trace = Trace(claim, self._clock, on_event=lambda _: None)
        ending: Wire = {"state": "Succeeded"}
        try:
            given = await self._attempts.make(trace, CallThrough())
            ending |= {"result": await self._whole(given), "driver": given.driver}
        except (ExecutionFailed, StatusError) as e:
            ending = {"state": "Failed", "reason": e.reason, "message": e.message}
        return LocalRun(self._execution(claim, trace, ending), [_event(trace, e) for e in trace.take()])

    async def _whole(self, given: Given) -> Any:
        if given.result_ref is None:
            return given.result
        return json.loads(await self._memory.get(given.result_ref))

    def _claim(self, wire_input: Mapping[str, Any]) -> Claim:
        now = self._clock.now()
        spec = self._skill.spec
        return Claim(
            id=LOCAL_ID,
            day=now.date(),
            domain=self._skill.domain,
            skill=self._skill.name,
            revision=self._memory.revision["metadata"]["name"],
            environment=_WHO,
            execution_class=execution_class(spec).name,
            input=wire_input,
            input_ref=None,
            caller=_WHO,
            trigger={"type": "cli"},
            created_at=now,
            deadline=now + timedelta(seconds=spec["runtime"]["timeoutSeconds"] + _QUEUE_SECONDS),
            owner=Owner(NodeId(_WHO), 0),
            attempt=1,
            cancel_requested=False,
            spent_micro_usd=0,
            queued_ms=0.0,
        )

    def _execution(self, claim: Claim, trace: Trace, ending: Wire) -> Wire:
        now, calls = self._clock.now(), self._memory.calls
        metadata = {"name": claim.id, "domain": claim.domain, "creationTimestamp": rfc3339(claim.created_at)}
        spec = {
            "skill": claim.skill,
            "revision": claim.revision,
            "environment": claim.environment,
            "class": claim.execution_class,
            "input": claim.input,
        }
        status = {
            **ending,
            "attempt": 1,
            "durationMs": round((now - claim.created_at).total_seconds() * 1000, 1),
            "costMicroUsd": sum(call.cost_micro_usd or 0 for call in calls),
            "inputTokens": sum(call.input_tokens or 0 for call in calls),
            "outputTokens": sum(call.output_tokens or 0 for call in calls),
            "stages": {name: ms for name, ms in trace.stages.items() if name != "record"},
        }
        return {"apiVersion": API_VERSION, "kind": "Execution", "metadata": metadata, "spec": spec, "status": status}


def _event(trace: Trace, event: ExecutionEvent) -> Wire:
    return {"at": rfc3339(event.at), "type": event.type, "attempt": trace.claim.attempt, "data": event.data}


@asynccontextmanager
async def open_runner(
    settings: Settings, skill: LoadedSkill, *, clock: Clock | None = None
) -> AsyncGenerator[LocalRunner]:
    """A runner over a temporary copy of the skill's artifact; nothing of it is left afterwards."""
    prepare_data_dir(settings.data_dir, uid=os.geteuid())
    clock = clock or SystemClock()
    driver = sandbox_driver(settings, slots=1, warm=0)
    ledger = LocalLedger(clock=clock, new_id=new_call_id)
    models = ModelAttempts(lambda: shipped_catalog(settings), ledger=ledger, clock=clock)
    with tempfile.TemporaryDirectory(prefix="aspora-run-") as folder:
        unpack(skill.archive.data, Path(folder))
        memory = _Memory(revision_of(skill), Path(folder))
        attempts = Attempts(
            plans=Plans(memory),
            artifacts=memory,
            blobs=memory,
            handler=HandlerWorker(driver, driver_name=settings.sandbox_driver, blobs=memory, clock=clock),
            agent=AgentWorker(
                models=HttpModelClient(models), book=memory, blobs=memory, clock=clock, terms_for=_terms(settings)
            ),
            clock=clock,
        )
        try:
            yield LocalRunner(skill, memory=memory, attempts=attempts, clock=clock)
        finally:
            await driver.close()
            await models.close()


def run_folder(
    settings: Settings, folder: Path, wire_input: Mapping[str, Any], *, domain: str, lenient: bool
) -> LocalRun:
    """Run a skill's folder once.

    Raises:
        InvalidSkill: The folder is no skill.
        Unavailable: It needs a model and none is configured; says what to set.
        StatusError: It can't be run here.
    """
    skill = load_skill(folder, lenient=lenient, domain=domain or None)
    if problem := model_problem(settings, skill.spec):
        raise Unavailable(problem)

    async def run() -> LocalRun:
        async with open_runner(settings, skill) as runner:
            return await runner.run(wire_input)

    configure_logging(level="WARNING", form="console")
    return asyncio.run(run())


def plan_folder(settings: Settings, folder: Path, *, domain: str, lenient: bool) -> RunPlan:
    """What `run_folder` would do.

    Raises:
        InvalidSkill: The folder is no skill.
    """
    skill = load_skill(folder, lenient=lenient, domain=domain or None)
    revision = revision_of(skill)
    return RunPlan(
        skill=skill.id,
        revision=revision["metadata"]["name"],
        digest=revision["spec"]["digest"],
        spec=skill.spec,
        place=f"the sandbox driver {settings.sandbox_driver!r}",
        model_problem=model_problem(settings, skill.spec),
        recorded=False,
    )


def model_problem(settings: Settings, spec: Mapping[str, Any]) -> str:
    """Why no model can be asked for a skill that needs one; "" when one can, or none is needed."""
    if spec["runtime"].get("entryPoint"):
        return ""
    try:
        model = spec["model"]
        primary = model.get("primary") or shipped_routing().default_model
        shipped_catalog(settings).resolve([a for a in (primary, model.get("fallback")) if a])
    except ModelNotConfigured as e:
        return e.message
    return ""


def check_folder(
    settings: Settings, folder: Path, *, environ: Mapping[str, str], domain: str, lenient: bool
) -> tuple[LoadedSkill, Sequence[SuiteReport]]:
    """Run a skill's own suites: its golden cases as `run_folder` would, its unit tests by pytest.

    Raises:
        InvalidSkill: The folder is no skill.
        StatusError: It can't be run here.
    """
    skill = load_skill(folder, lenient=lenient, domain=domain or None)
    problem = model_problem(settings, skill.spec)
    environment = {name: environ[name] for name in TEST_VARIABLES if name in environ}

    async def suites() -> Sequence[SuiteReport]:
        async with open_runner(settings, skill) as runner:

            async def run(given: Mapping[str, Any]) -> Mapping[str, Any]:
                return _result_of(await runner.run(_wire_input(given)))

            return await run_suites(
                skill.folder,
                run=None if problem else run,
                environment=environment,
                clock=SystemClock(),
                no_run=problem,
            )

    configure_logging(level="WARNING", form="console")
    return skill, asyncio.run(suites())


def _wire_input(given: Mapping[str, Any]) -> Wire:
    """The handler protocol's input in the form that requests have."""
    return {"userMessage": given["user_message"], "userId": given["user_id"], "metadata": given["metadata"]}


def _result_of(run: LocalRun) -> Mapping[str, Any]:
    status = run.execution["status"]
    if status["state"] != "Succeeded":
        raise RunFailed(status["reason"], status["message"])
    return status["result"]
