"""Runs a skill's handler in the sandbox."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from aspora.executor.context import handler_context
from aspora.executor.effect_calls import AttemptEffects, EffectCalls
from aspora.executor.failures import ExecutionFailed
from aspora.executor.host_calls import HostCalls
from aspora.executor.interface import Blobs
from aspora.executor.results import Given, keep_result
from aspora.executor.work import Work
from aspora.kit.clock import Clock
from aspora.meta.errors import Internal, Invalid, Unavailable
from aspora.records.rows import Claim
from aspora.sandbox.interface import Job, Outcome, RunId, SandboxDriver

_MAX_OUTPUT_CHARACTERS: Final = 8192
_STEP: Final = "handler"
_MAX_PREPARED: Final = 1024


class HandlerWorker:
    """The worker for skills that have a handler.

    Args:
        driver_name: What the record says of where it ran.
        effects: Makes connector calls; None where there are no connectors.
    """

    def __init__(
        self,
        driver: SandboxDriver,
        *,
        driver_name: str,
        blobs: Blobs,
        clock: Clock,
        effects: EffectCalls | None = None,
    ) -> None:
        self._effects = effects
        self._driver = driver
        self._driver_name = driver_name
        self._blobs = blobs
        self._clock = clock
        self._prepared: dict[Path, Path] = {}

    async def __call__(self, work: Work) -> Given:
        """Run the handler once, or take from the journal what an earlier attempt got from it."""

        async def run() -> dict[str, Any]:
            result = await self._run(work)
            return (await keep_result(result, blobs=self._blobs, driver=self._driver_name)).to_json()

        return Given.from_json(await work.journal.step(_STEP, run))

    async def settle_earlier(self, claim: Claim) -> None:
        """Before a rerun: a write that an earlier attempt left in doubt ends the execution; see `effect_calls`."""
        if self._effects is not None:
            await self._effects.of(claim, {}).settle_earlier()

    async def _run(self, work: Work) -> Mapping[str, Any]:
        permissions = work.plan.spec.permissions
        effects = (
            self._effects.of(work.claim, {api.name: api.access for api in permissions.apis}) if self._effects else None
        )
        with work.trace.stage("artifact"):
            folder = await self._prepare(work.folder)
        run_id = RunId(f"{work.claim.id}.{work.claim.attempt}")
        host = HostCalls(
            folder=work.folder,
            tools=work.plan.tools,
            blocked=permissions.blocked_resources,
            effects=effects,
            end_run=partial(self._driver.kill, run_id),
            trace=work.trace,
            clock=self._clock,
        )
        job = Job(
            run_id=run_id,
            artifact_dir=folder,
            entry_point=work.plan.entry_point,
            context=handler_context(work.claim, work.plan, work.input, deadline_seconds=work.timeout_seconds),
            limits=replace(work.plan.limits, timeout_seconds=work.timeout_seconds),
            language=work.plan.language,
        )
        with work.trace.stage("process"):
            try:
                outcome = await self._run_job(job, host, effects)
            except ExecutionFailed:
                await _settle(effects, host)
                raise
        _tell(outcome, work)
        await _settle(effects, host)
        return self._result_of(outcome)

    async def _prepare(self, folder: Path) -> Path:
        """The driver's own folder for the skill's files; asked for once, since a digest names them."""
        known = self._prepared.get(folder)
        if known is None or not known.is_dir():
            if len(self._prepared) >= _MAX_PREPARED:
                self._prepared.clear()
            known = self._prepared[folder] = await self._driver.prepare(folder)
        return known

    async def _run_job(self, job: Job, host: HostCalls, effects: AttemptEffects | None) -> Outcome:
        try:
            return await self._driver.run(job, host)
        except asyncio.CancelledError:
            if effects is not None:
                await effects.settle_cancelled()
            raise
        except Unavailable as error:
            raise ExecutionFailed("SandboxUnavailable", error.message) from None
        except Invalid as error:
            raise ExecutionFailed("SandboxRefused", error.message) from None

    def _result_of(self, outcome: Outcome) -> Mapping[str, Any]:
        if outcome.failure is not None:
            raise ExecutionFailed(outcome.failure.reason.value, outcome.failure.message)
        if outcome.result is None:
            raise Internal(f"sandbox driver {self._driver_name!r} gave neither a result nor a failure; mend the driver")
        return outcome.result


async def _settle(effects: AttemptEffects | None, host: HostCalls) -> None:
    """What the handler's calls came to goes before what became of the handler, or of its sandbox.

    Raises:
        ExecutionFailed: A call ends the execution.
        Superseded: The attempt is fenced.
    """
    if effects is not None:
        await effects.settle()
    if host.last is not None:
        raise host.last


def _tell(outcome: Outcome, work: Work) -> None:
    usage = outcome.usage
    work.trace.emit(
        "HandlerEnded",
        wallMs=round(usage.wall_seconds * 1000, 1),
        cpuMs=round(usage.cpu_seconds * 1000, 1),
        startMs=round(usage.start_seconds * 1000, 1),
        maxRssBytes=usage.max_rss_bytes,
        stages={name: round(seconds * 1000, 1) for name, seconds in usage.stages.items()},
    )
    if outcome.stderr_tail:
        work.trace.emit("Output", text=outcome.stderr_tail[-_MAX_OUTPUT_CHARACTERS:])
    if outcome.failure is not None and outcome.failure.details:
        work.trace.emit("HandlerFailed", reason=outcome.failure.reason.value, details=outcome.failure.details)
