"""The model client over HTTP: endpoints in order, retries with jitter, fallback, and a hold before each attempt."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.models.catalog import Catalog, Endpoint
from aspora.models.failures import ModelNotConfigured, ModelRejected, ModelTimedOut, ModelUnavailable
from aspora.models.interface import (
    CostSource,
    ModelAttempt,
    ModelCost,
    ModelReply,
    ModelRequest,
    Purse,
    TokenUsage,
)
from aspora.models.pricing import bound_input_tokens, cost_of_answer, hold_micro_usd
from aspora.models.trying import Tried, tell
from aspora.models.upstream import Sending, Then, UpstreamFault, mark_sent, send
from aspora.models.wire import Answer, read_usage, request_body

RETRY_BACKOFF = Backoff(base_seconds=0.5, factor=2.0, max_seconds=8.0, jitter_ratio=0.5)
MAX_RETRY_AFTER_SECONDS = 30.0
"""An upstream that asks for a longer pause is left for the fallback."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_UNCHARGED = ModelCost(micro_usd=0, source=CostSource.NOTHING)


@dataclass(slots=True, kw_only=True)
class _Call:
    """One `generate` on its way."""

    request: ModelRequest
    purse: Purse
    observe: Callable[[ModelAttempt], None]
    on_text: Callable[[str], None] | None
    streamed: bool = False
    """Whether a piece of text has been passed on."""
    tried: list[Tried] = field(default_factory=list[Tried])

    def pass_on(self, text: str) -> None:
        self.streamed = True
        if self.on_text is not None:
            self.on_text(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt, priced before it goes out."""

    endpoint: Endpoint
    number: int
    body: bytes
    bound: TokenUsage
    hold: int | None


class HttpModelClient:
    """Calls upstreams; one for a process, used by one event loop.

    Args:
        catalog: Gives the catalogue as it is now.
        clock: For deadlines and durations.
        sleep: Waits between retries.
        rand: Numbers in [0, 1) for the jitter.
        backoff: Pauses between attempts on one endpoint.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
        backoff: Backoff = RETRY_BACKOFF,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._sleep = sleep
        self._rand = rand
        self._backoff = backoff
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def generate(
        self,
        request: ModelRequest,
        *,
        purse: Purse,
        observe: Callable[[ModelAttempt], None],
        on_text: Callable[[str], None] | None = None,
    ) -> ModelReply:
        """Get one answer; see `ModelClient.generate`."""
        endpoints = self._catalog().resolve(request.models)
        call = _Call(request=request, purse=purse, observe=observe, on_text=on_text)
        if purse.capped:
            _refuse_unpriced(endpoints)
        for endpoint in endpoints:
            reply = await self._ask(call, endpoint)
            if reply is not None:
                return reply
        raise ModelUnavailable(
            f"no model answered: {tell(call.tried)}; see that the endpoints are up, or name another by model.fallback"
        )

    async def _ask(self, call: _Call, endpoint: Endpoint) -> ModelReply | None:
        """Try one endpoint until it answers, or None when the next one should be tried."""
        for number in range(1, endpoint.provider.max_retries + 2):
            attempt = _prepare(call.request, endpoint, number=number, stream=call.on_text is not None)
            try:
                return await self._try(call, attempt)
            except UpstreamFault as fault:
                call.tried.append(Tried(endpoint, fault))
                self._check_whether_to_go_on(call, fault)
                last = number == endpoint.provider.max_retries + 1
                if last or fault.then is not Then.RETRY or not await self._pause(call, fault, number):
                    return None
        return None

    def _check_whether_to_go_on(self, call: _Call, fault: UpstreamFault) -> None:
        if call.streamed:
            raise ModelUnavailable(
                f"the answer broke off after part of it had been passed on: {tell(call.tried)}; run it again"
            ) from fault
        if fault.then is Then.GIVE_UP:
            last = call.tried[-1]
            raise ModelRejected(f"the upstream refused the request for {last.endpoint.alias}: {last.clause}") from fault
        if self._seconds_left(call.request) <= 0:
            _time_out(call.tried)

    def _seconds_left(self, request: ModelRequest) -> float:
        return float("inf") if request.deadline is None else request.deadline - self._clock.monotonic()

    async def _pause(self, call: _Call, fault: UpstreamFault, number: int) -> bool:
        """Wait before the next attempt; False when the wait would be too long to be worth it."""
        wanted = fault.retry_after_seconds
        jittered = self._backoff.delay_seconds(number - 1, rand=self._rand)
        seconds = jittered if wanted is None else wanted + self._rand() * 0.1 * wanted
        if seconds > MAX_RETRY_AFTER_SECONDS or seconds >= self._seconds_left(call.request):
            return False
        await self._sleep(seconds)
        return True

    async def _try(self, call: _Call, attempt: _Attempt) -> ModelReply:
        """Hold, send, settle, and tell the observer, whatever happens."""
        seconds_left = self._seconds_left(call.request)
        if seconds_left <= 0:
            _time_out(call.tried)
        if attempt.hold is not None:
            await call.purse.reserve(attempt.hold, alias=attempt.endpoint.alias)
        sending = Sending(
            endpoint=attempt.endpoint,
            body=attempt.body,
            stream=call.on_text is not None,
            timeout_seconds=min(float(attempt.endpoint.provider.timeout_seconds), seconds_left),
            sent=SimpleNamespace(headers=False),
        )
        started = self._clock.monotonic()
        outcome, message, usage, cost = "failed", "", None, None
        try:
            answer = await send(
                self._session_for(attempt.endpoint),
                sending,
                now=self._clock.now,
                on_text=None if call.on_text is None else call.pass_on,
            )
            outcome, usage = "ok", read_usage(answer.raw_usage)
            cost = _cost(attempt, answer, usage)
            return _reply(attempt, answer, usage, cost)
        except UpstreamFault as fault:
            outcome, message = fault.outcome, fault.message
            cost = _in_doubt(attempt) if fault.in_doubt else _UNCHARGED
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            if cost is None:
                cost = _in_doubt(attempt) if sending.sent.headers else _UNCHARGED
            call.purse.settle(attempt.hold or 0, cost_micro_usd=cost.micro_usd or 0)
            call.observe(
                ModelAttempt(
                    alias=attempt.endpoint.alias,
                    provider=attempt.endpoint.provider_name,
                    upstream=attempt.endpoint.upstream_id,
                    attempt=attempt.number,
                    outcome=outcome,
                    message=message,
                    duration_ms=round((self._clock.monotonic() - started) * 1000),
                    usage=usage,
                    cost=cost,
                )
            )

    def _session_for(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        """Proxy variables apply to every host but this machine."""
        outside = urlsplit(endpoint.base_url).hostname not in _LOOPBACK
        if outside not in self._sessions:
            self._sessions[outside] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=256), trust_env=outside, trace_configs=[mark_sent()]
            )
        return self._sessions[outside]


def _time_out(tried: Sequence[Tried]) -> NoReturn:
    which = f" (tried: {tell(tried)})" if tried else ""
    raise ModelTimedOut(f"the deadline passed before a model answered{which}; raise runtime.timeout, or try again")


def _refuse_unpriced(endpoints: list[Endpoint]) -> None:
    unpriced = sorted(e.alias for e in endpoints if e.model.prices is None)
    if unpriced:
        raise ModelNotConfigured(
            f"model {unpriced[0]!r} has no price, so a cap on its cost can't be kept; "
            "set spec.prices of the Model, or run without max_per_execution"
        )


def _prepare(request: ModelRequest, endpoint: Endpoint, *, number: int, stream: bool) -> _Attempt:
    """The body and the upper bound of what it can cost."""
    model = endpoint.model
    max_output = min(request.max_output_tokens, model.max_output_tokens or model.context_tokens)
    body = request_body(request, endpoint, max_output_tokens=max_output, stream=stream)
    input_tokens = min(bound_input_tokens(body), model.context_tokens)
    bound = TokenUsage(input_tokens=input_tokens, output_tokens=max_output)
    hold = (
        None
        if model.prices is None
        else hold_micro_usd(model.prices, input_tokens=input_tokens, output_tokens=max_output)
    )
    return _Attempt(endpoint=endpoint, number=number, body=body, bound=bound, hold=hold)


def _cost(attempt: _Attempt, answer: Answer, usage: TokenUsage | None) -> ModelCost:
    return cost_of_answer(
        raw_usage=answer.raw_usage,
        usage=usage,
        prices=attempt.endpoint.model.prices,
        counted_bound=attempt.bound,
        hold=attempt.hold,
    )


def _in_doubt(attempt: _Attempt) -> ModelCost:
    flags = () if attempt.hold is not None else ("Unpriced",)
    return ModelCost(micro_usd=attempt.hold, source=CostSource.IN_DOUBT, flags=flags)


def _reply(attempt: _Attempt, answer: Answer, usage: TokenUsage | None, cost: ModelCost) -> ModelReply:
    return ModelReply(
        text=answer.text,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        alias=attempt.endpoint.alias,
        upstream_model=answer.upstream_model,
        usage=usage,
        cost=cost,
    )
