"""The attempts at one question: endpoints in order, retries with jitter, fallback, and money set aside before each."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import aiohttp

from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.ledger.interface import Ledger
from aspora.models.breaker import CIRCUIT_OPEN, MAX_LIMIT_SECONDS, Breaker, Ticket
from aspora.models.catalog import Catalog, Endpoint
from aspora.models.failures import LedgerUnavailable, ModelRejected, ModelTimedOut, ModelUnavailable
from aspora.models.hedging import Lane, ask_beside
from aspora.models.interface import Charge, ModelAttempt
from aspora.models.question import Attempt, Question, prepare, refuse_unpriced
from aspora.models.reconciling import Reconciler
from aspora.models.spending import Spending, pay
from aspora.models.trying import Tried, tell
from aspora.models.upstream import Exchange, Sending, Then, UpstreamFault, mark_sent, open_exchange

T = TypeVar("T")

RETRY_BACKOFF = Backoff(base_seconds=0.5, factor=2.0, max_seconds=8.0, jitter_ratio=0.5)
MAX_RETRY_AFTER_SECONDS = MAX_LIMIT_SECONDS
"""An upstream that asks for a longer pause is left for the fallback."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(slots=True, kw_only=True)
class Call:
    """One question on its way.

    Attributes:
        charge: Who pays for all its attempts.
        observe: Told of each attempt that went out, when it has ended.
        has_passed_on: Whether part of an answer has reached the caller: then nothing is tried again.
        tried: The attempts that brought no answer.
    """

    question: Question
    charge: Charge
    observe: Callable[[ModelAttempt], None]
    has_passed_on: bool = False
    tried: list[Tried] = field(default_factory=list[Tried])


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that was answered with 200. Whoever takes it says when its output begins, ends its spending and closes
    the exchange, and tells the ticket of what breaks later.
    """

    sending: Sending
    exchange: Exchange
    spending: Spending
    ticket: Ticket
    lane: Lane

    @property
    def endpoint(self) -> Endpoint:
        """Who answers."""
        return self.spending.attempt.endpoint


class Attempts:
    """Makes attempts; one for a process, used by one event loop.

    Args:
        catalog: Gives the catalogue as it is now.
        ledger: Pays.
        clock: For deadlines and durations.
        sleep: Waits between retries.
        rand: Numbers in [0, 1) for the jitter.
        backoff: Pauses between attempts on one endpoint.
        breaker: Says which endpoints are passed over; None: one of its own.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        *,
        ledger: Ledger,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
        backoff: Backoff = RETRY_BACKOFF,
        breaker: Breaker | None = None,
    ) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._rand = rand
        self._backoff = backoff
        self._breaker = breaker or Breaker(clock=clock, rand=rand)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._reconciler = Reconciler(ledger, self._session_for, sleep=sleep)

    async def close(self) -> None:
        """Stop asking what cut streams cost, and close all connections."""
        await self._reconciler.close()
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def answer(self, call: Call, take: Callable[[Opened], Awaitable[T]]) -> T:
        """Ask until somebody answers.

        Args:
            call: What to ask.
            take: Takes the answer, or its beginning: what it raises as `UpstreamFault` counts as no answer.

        Raises:
            ModelFailed: As `ModelClient.generate` says.
        """
        endpoints = self._catalog().resolve(call.question.models, demands=call.charge.demands)
        if call.charge.is_capped:
            refuse_unpriced(endpoints)
        rest = deque(endpoints)
        while rest:
            endpoint = rest.popleft()
            beside = self._beside(endpoint, rest)
            ask = partial(self._ask, call, endpoint, take)
            if beside is None:
                answer = await ask(Lane())
            else:
                raced = await ask_beside(
                    ask,
                    partial(self._ask, call, beside, take),
                    after_seconds=(endpoint.provider.hedge_after_ms or 0) / 1000,
                )
                answer = raced.answer
                if raced.second_is_over:
                    rest.remove(beside)
            if answer is not None:
                return answer[0]
        answer = await self._ask_as_probe(call, endpoints, take)
        if answer is not None:
            return answer[0]
        raise ModelUnavailable(
            f"no model answered: {tell(call.tried)}; see that the endpoints are up, or name another by model.fallback",
            retry_after_seconds=_soonest(call.tried),
        )

    def _beside(self, endpoint: Endpoint, rest: Sequence[Endpoint]) -> Endpoint | None:
        """Who is asked beside an endpoint that is slow to begin; None for nobody."""
        if endpoint.provider.hedge_after_ms is None or self._breaker.passes_over(endpoint):
            return None
        return next((other for other in rest if not self._breaker.passes_over(other)), None)

    async def _ask_as_probe(
        self, call: Call, endpoints: Sequence[Endpoint], take: Callable[[Opened], Awaitable[T]]
    ) -> tuple[T] | None:
        """When nobody answered: those whose time to be probed has come, if the probe is not another's."""
        for endpoint in endpoints:
            passed_over = [t for t in call.tried if t.endpoint is endpoint and t.fault.outcome == CIRCUIT_OPEN]
            if passed_over and await self._breaker.obtain_probe(endpoint):
                call.tried = [t for t in call.tried if t not in passed_over]
                answer = await self._ask(call, endpoint, take, Lane())
                if answer is not None:
                    return answer
        return None

    async def _ask(
        self, call: Call, endpoint: Endpoint, take: Callable[[Opened], Awaitable[T]], lane: Lane
    ) -> tuple[T] | None:
        """Try one endpoint until it answers, or None when the next one should be tried."""
        for number in range(1, endpoint.provider.max_retries + 2):
            lane.check()
            ticket = self._breaker.admit(endpoint)
            if isinstance(ticket, UpstreamFault):
                call.tried.append(Tried(endpoint, ticket))
                return None
            try:
                with ticket:
                    return (await self._try(call, prepare(call.question, endpoint, number=number), take, ticket, lane),)
            except UpstreamFault as fault:
                lane.check()
                call.tried.append(Tried(endpoint, fault))
                self._check_whether_to_go_on(call, fault)
                last = number == endpoint.provider.max_retries + 1
                if last or fault.then is not Then.RETRY or not await self._pause(call, fault, number):
                    return None
        return None

    def _check_whether_to_go_on(self, call: Call, fault: UpstreamFault) -> None:
        if call.has_passed_on:
            raise ModelUnavailable(
                f"the answer broke off after part of it had been passed on: {tell(call.tried)}; run it again"
            ) from fault
        if fault.then is Then.GIVE_UP:
            last = call.tried[-1]
            raise ModelRejected(f"the upstream refused the request for {last.endpoint.alias}: {last.clause}") from fault
        if self._seconds_left(call.question) <= 0:
            _time_out(call.tried)

    def _seconds_left(self, question: Question) -> float:
        return float("inf") if question.deadline is None else question.deadline - self._clock.monotonic()

    async def _pause(self, call: Call, fault: UpstreamFault, number: int) -> bool:
        """Wait before the next attempt; False when the wait would be too long to be worth it."""
        wanted = fault.retry_after_seconds
        jittered = self._backoff.delay_seconds(number - 1, rand=self._rand)
        seconds = jittered if wanted is None else wanted + self._rand() * 0.1 * wanted
        if seconds > MAX_RETRY_AFTER_SECONDS or seconds >= self._seconds_left(call.question):
            return False
        await self._sleep(seconds)
        return True

    async def _try(
        self, call: Call, attempt: Attempt, take: Callable[[Opened], Awaitable[T]], ticket: Ticket, lane: Lane
    ) -> T:
        """Pay, send and take the answer; what was paid is booked, whatever happens."""
        if self._seconds_left(call.question) <= 0:
            _time_out(call.tried)
        spending = await pay(
            self._ledger, attempt, call.charge, clock=self._clock, observe=call.observe, reconciler=self._reconciler
        )
        sending = Sending(
            endpoint=attempt.endpoint,
            path=call.question.operation.path(attempt.endpoint),
            body=attempt.body,
            call=spending.hold.id,
            timeout_seconds=min(float(attempt.endpoint.provider.timeout_seconds), self._seconds_left(call.question)),
            sent=SimpleNamespace(headers=False),
        )
        exchange: Exchange | None = None
        try:
            if not spending.may_send():
                raise LedgerUnavailable("the lease of budgets ended before the call went out; send the request again")
            exchange = await open_exchange(self._session_for(attempt.endpoint), sending, now=self._clock.now)
            answer = await take(Opened(sending, exchange, spending, ticket, lane))
        except BaseException as error:
            if exchange is not None:
                exchange.close()
            _book_failure(spending, error, was_sent=bool(sending.sent.headers))
            if isinstance(error, UpstreamFault):
                ticket.failed(error, was_hurried=_was_hurried(sending))
            raise
        ticket.answered()
        return answer

    def _session_for(self, endpoint: Endpoint) -> aiohttp.ClientSession:
        """Proxy variables apply to every host but this machine."""
        outside = urlsplit(endpoint.base_url).hostname not in _LOOPBACK
        if outside not in self._sessions:
            self._sessions[outside] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=256), trust_env=outside, trace_configs=[mark_sent()]
            )
        return self._sessions[outside]


def _book_failure(spending: Spending, error: BaseException, *, was_sent: bool) -> None:
    """What an attempt without an answer costs; nothing changes if it is booked already."""
    match error:
        case UpstreamFault(in_doubt=True):
            spending.in_doubt(error.outcome, error.message)
        case UpstreamFault():
            spending.refused(error.outcome, error.message)
        case _ if was_sent:
            spending.in_doubt("cancelled" if isinstance(error, asyncio.CancelledError) else "failed", "")
        case _:
            spending.never_sent()


def _was_hurried(sending: Sending) -> bool:
    """Whether the caller's deadline left too little time to hold a timeout against the upstream."""
    provider = sending.endpoint.provider
    enough = provider.timeout_seconds / 2
    if not sending.sent.headers:
        enough = min(enough, provider.connect_timeout_seconds)
    return sending.timeout_seconds < enough


def _soonest(tried: Sequence[Tried]) -> float | None:
    """When an endpoint that was passed over may be asked again, in whole seconds; None when none was."""
    waits = [t.fault.retry_after_seconds for t in tried if t.fault.outcome == CIRCUIT_OPEN]
    return min((float(math.ceil(wait)) for wait in waits if wait is not None), default=None)


def _time_out(tried: Sequence[Tried]) -> NoReturn:
    which = f" (tried: {tell(tried)})" if tried else ""
    raise ModelTimedOut(f"the deadline passed before a model answered{which}; raise runtime.timeout, or try again")
