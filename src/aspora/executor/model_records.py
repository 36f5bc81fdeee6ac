"""A model client that keeps a row of each request that went out: what it cost must not be forgotten."""

import asyncio
from collections.abc import Callable
from typing import Final

from aspora.executor.interface import ModelCallBook
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.meta.errors import Timeout, Unavailable
from aspora.models.interface import Charge, ModelAttempt, ModelClient, ModelReply, ModelRequest
from aspora.records.rows import Claim, ModelCall
from aspora.telemetry.logs import get_logger

_BACKOFF: Final = Backoff(base_seconds=0.05, max_seconds=2.0)
_log = get_logger(__name__)


class RecordedModels:
    """Hands requests on to `inner` and records what they cost before the answer is used."""

    def __init__(self, inner: ModelClient, book: ModelCallBook, claim: Claim, clock: Clock) -> None:
        self._inner = inner
        self._book = book
        self._claim = claim
        self._clock = clock

    async def generate(
        self,
        request: ModelRequest,
        *,
        charge: Charge,
        observe: Callable[[ModelAttempt], None],
        on_text: Callable[[str], None] | None = None,
    ) -> ModelReply:
        """Get one answer; see `ModelClient.generate`."""
        calls: list[ModelCall] = []

        def note(attempt: ModelAttempt) -> None:
            calls.append(self._call(attempt))
            observe(attempt)

        try:
            return await self._inner.generate(request, charge=charge, observe=note, on_text=on_text)
        finally:
            for call in calls:
                await self._record(call)

    async def _record(self, call: ModelCall) -> None:
        attempt = 0
        while True:
            try:
                return await self._book.record_model_call(self._claim, call)
            except (Unavailable, Timeout) as error:
                _log.warning("model call not recorded yet", execution=self._claim.id, reason=error.reason)
            await asyncio.sleep(_BACKOFF.delay_seconds(attempt))
            attempt += 1

    def _call(self, attempt: ModelAttempt) -> ModelCall:
        usage = attempt.usage
        return ModelCall(
            at=self._clock.now(),
            alias=attempt.alias,
            provider=attempt.provider,
            upstream=attempt.upstream,
            outcome=attempt.outcome,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost_micro_usd=attempt.cost.micro_usd,
            cost_source=attempt.cost.source.value,
            duration_ms=attempt.duration_ms,
        )
