"""One attempt at one execution, step by step: deadline, revision, files, input, then the handler or the agent."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import ArtifactSource, Blobs
from aspora.executor.journal import Journal
from aspora.executor.plan import Plan, Plans
from aspora.executor.results import Given
from aspora.executor.trace import Trace
from aspora.executor.work import Work, Worker
from aspora.kit.clock import Clock
from aspora.meta.errors import StatusError, Unavailable
from aspora.records.rows import Claim

T = TypeVar("T")
_RETRY_SECONDS: Final = 0.2

Settle = Callable[[Claim], Awaitable[None]]
"""Sees to what an earlier attempt began and told no end of; see `Attempts.settle`."""


class Attempts:
    """Makes attempts.

    Args:
        handler: Runs skills that have a handler.
        agent: Runs skills that are Markdown alone.
    """

    def __init__(
        self,
        *,
        plans: Plans,
        artifacts: ArtifactSource,
        blobs: Blobs,
        handler: Worker,
        agent: Worker,
        clock: Clock,
        settle: Settle | None = None,
    ) -> None:
        self._settle = settle
        self._plans = plans
        self._artifacts = artifacts
        self._blobs = blobs
        self._handler = handler
        self._agent = agent
        self._clock = clock

    async def settle(self, claim: Claim) -> None:
        """See to what an earlier attempt began and told no end of, before anything else can end the execution.

        Raises:
            ExecutionFailed: A write is in doubt (`EffectInDoubt`).
            Superseded: The attempt is fenced.
        """
        if self._settle is not None:
            await self._settle(claim)

    async def make(self, trace: Trace, journal: Journal) -> Given:
        """Run the execution once.

        Raises:
            ExecutionFailed: It has no result; reason and message say why.
            Superseded: Another attempt has taken it over.
        """
        claim = trace.claim
        await self.settle(claim)
        async with AsyncExitStack() as held:
            with trace.stage("artifact"):
                plan = await self._plans.load(claim.domain, claim.revision, within_seconds=self._left_seconds(claim))
                folder = await self._unpack(plan, held, within_seconds=self._left_seconds(claim))
                wire_input = await self._load_input(claim, within_seconds=self._left_seconds(claim))
            work = Work(
                claim=claim,
                plan=plan,
                folder=folder,
                input=wire_input,
                timeout_seconds=min(plan.limits.timeout_seconds, self._left_seconds(claim)),
                trace=trace,
                journal=journal,
            )
            return await (self._agent if plan.is_agent else self._handler)(work)

    def _left_seconds(self, claim: Claim) -> float:
        left = (claim.deadline - self._clock.now()).total_seconds()
        if left <= 0:
            raise ExecutionFailed(
                "DeadlineExceeded",
                "the deadline passed before an executor could run it; "
                "run it again, or see whether there are enough: aspora get nodes",
            )
        return left

    async def _unpack(self, plan: Plan, held: AsyncExitStack, *, within_seconds: float) -> Path:
        return await self._persist(
            lambda: held.enter_async_context(self._artifacts.lease(plan.artifact)),
            what=f"artifact {plan.artifact!r}",
            reason="ArtifactUnavailable",
            within_seconds=within_seconds,
        )

    async def _load_input(self, claim: Claim, *, within_seconds: float) -> Mapping[str, Any]:
        reference = claim.input_ref
        if reference is None:
            return claim.input or {}
        data = await self._persist(
            lambda: self._blobs.get(reference),
            what=f"input {reference!r}",
            reason="InputUnavailable",
            within_seconds=within_seconds,
        )
        return json.loads(data)

    async def _persist(self, read: Callable[[], Awaitable[T]], *, what: str, reason: str, within_seconds: float) -> T:
        """Read something that may be unreachable for a moment; any other failure is final."""
        give_up_at = self._clock.monotonic() + within_seconds
        while True:
            try:
                return await read()
            except StatusError as error:
                retry = isinstance(error, Unavailable) and self._clock.monotonic() + _RETRY_SECONDS < give_up_at
                if not retry:
                    raise ExecutionFailed(reason, f"{what} could not be read: {error.message}") from None
            await asyncio.sleep(_RETRY_SECONDS)
