"""Which upstreams are asked now: what calls tell of them, and what other processes found, shared over a board.

A call is let through or passed over by what is in memory. The board is asked beside the calls: when a circuit changes,
when it says that something may have changed, and each second while a circuit is open and not yet due. Without a board,
or while it is away, a process decides for itself.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aspora.circuits.interface import CircuitBoard, OpenCircuit, Upstream
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_any
from aspora.meta.errors import StatusError
from aspora.models.catalog import Endpoint
from aspora.models.circuit import CLAIM_SECONDS, Circuit, Pass, Verdict
from aspora.models.upstream import Then, UpstreamFault
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import MODEL_CIRCUIT_OPEN

MAX_LIMIT_SECONDS = 30.0
"""The longest that a 429 closes a model for, whatever its `Retry-After` says."""
LOOK_SECONDS = 1.0
EXCHANGE_SECONDS = 1.0
"""A board that has not answered by then is away."""
CIRCUIT_OPEN = "circuit_open"
_FAULTS = frozenset({"unreachable", "disconnected", "timeout", "upstream_timeout", "server_error", "malformed"})

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Change:
    """What the board has to be told.

    Attributes:
        number: How often in a row it opened; None: it is closed.
        until: Monotonic.
        turn: The board's that this follows; None: it knew nothing.
    """

    number: int | None
    until: float
    turn: int | None


class Ticket:
    """Leave for one call, given back at the block's end with what the call says of the upstream."""

    def __init__(self, breaker: "Breaker", endpoint: Endpoint, given: Pass) -> None:
        self.endpoint = endpoint
        self._breaker = breaker
        self._given = given
        self._is_told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if not self._is_told:
            self._tell(Verdict.NOTHING)

    def answered(self) -> None:
        """It answered, or began to."""
        self._tell(Verdict.WELL)

    def failed(self, fault: UpstreamFault, *, was_hurried: bool = False) -> None:
        """It did not, or broke off.

        Args:
            fault: How.
            was_hurried: Whether the caller gave it less time than its Provider does: then a timeout says nothing.
        """
        if fault.outcome == "rate_limited":
            self._breaker.limit(self.endpoint, fault.retry_after_seconds)
        if fault.outcome in _FAULTS:
            is_blameless = was_hurried and fault.outcome == "timeout"
            self._tell(Verdict.NOTHING if is_blameless else Verdict.FAULTY)
        else:
            # A refusal shows that somebody is there: a probe is satisfied, and nothing else is counted.
            self._tell(Verdict.WELL if self._given.is_probe else Verdict.NOTHING)

    def _tell(self, verdict: Verdict) -> None:
        self._is_told = True
        self._breaker.tell(upstream_of(self.endpoint), self._given, verdict)


class Breaker:
    """The circuits of a process; of one event loop.

    Args:
        board: Shares them; None: they are this process's alone. With one, `run` must be running.
        name: The process, unlike any other.
        clock: For all durations.
        rand: Numbers in [0, 1) for the jitter.
        metrics: Shows them.
    """

    def __init__(
        self,
        board: CircuitBoard | None = None,
        *,
        name: str = "",
        clock: Clock,
        rand: Callable[[], float] = random.random,
        metrics: Metrics | None = None,
    ) -> None:
        self._board = board
        self._name = name
        self._clock = clock
        self._rand = rand
        self._metrics = metrics
        self._circuits: dict[Upstream, Circuit] = {}
        self._limits: dict[Upstream, float] = {}
        self._changes: dict[Upstream, _Change] = {}
        self._wanted: set[Upstream] = set()
        self._told = asyncio.Event()
        self._exchanged = asyncio.Event()

    def admit(self, endpoint: Endpoint) -> Ticket | UpstreamFault:
        """Leave to call an endpoint now, or why it is passed over and for how long; asks nobody."""
        now, upstream = self._clock.monotonic(), upstream_of(endpoint)
        limited_seconds = self._limits.get(_limit_of(endpoint), now) - now
        if limited_seconds > 0:
            return _passed_over("it asked for a pause", limited_seconds)
        circuit = self._circuit(upstream)
        if circuit.is_unclaimed(now):
            self._want(upstream)
        given = circuit.admit(now)
        if given is None:
            return _passed_over("its last calls failed", max(LOOK_SECONDS, circuit.seconds_left(now)))
        return Ticket(self, endpoint, given)

    def passes_over(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint's turn is surely not now."""
        now = self._clock.monotonic()
        is_limited = self._limits.get(_limit_of(endpoint), now) > now
        return is_limited or self._circuit(upstream_of(endpoint)).seconds_left(now) > 0

    async def obtain_probe(self, endpoint: Endpoint) -> bool:
        """Wait for the board's word on the probe of an endpoint that was passed over; whether a call may go out now."""
        upstream = upstream_of(endpoint)
        if upstream not in self._wanted:
            return self._has_probe(upstream)
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * EXCHANGE_SECONDS):
                while upstream in self._wanted:
                    await self._exchanged.wait()
        if upstream in self._wanted:
            self._wanted.discard(upstream)
            self._circuit(upstream).grant(self._clock.monotonic())
        return self._circuit(upstream).opening is None or self._has_probe(upstream)

    def tell(self, upstream: Upstream, given: Pass, verdict: Verdict) -> None:
        """What came of a call."""
        circuit = self._circuit(upstream)
        before = circuit.opening
        if not circuit.tell(given, verdict, self._clock.monotonic()):
            return
        opening = circuit.opening
        turn = None if before is None else before.turn
        if opening is None:
            _log.info("upstream answers again", provider=upstream.provider, url=upstream.base_url)
            self._publish(upstream, _Change(None, 0.0, turn))
        else:
            seconds = round(opening.until - self._clock.monotonic(), 1)
            _log.warning("upstream left alone", provider=upstream.provider, url=upstream.base_url, seconds=seconds)
            self._publish(upstream, _Change(opening.number, opening.until, turn))

    def limit(self, endpoint: Endpoint, seconds: float | None) -> None:
        """A model's upstream asked for a pause."""
        if seconds:
            until = self._clock.monotonic() + min(seconds, MAX_LIMIT_SECONDS)
            self._limits[_limit_of(endpoint)] = until
            self._publish(_limit_of(endpoint), _Change(0, until, None))

    async def run(self, stop: asyncio.Event) -> None:
        """Share circuits until told to stop."""
        if self._board is None:
            await stop.wait()
            return
        with self._board.news(self._told):
            self._told.set()
            while not stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS if self._must_look() else None):
                        await wait_for_any(self._told, stop)
                self._told.clear()
                await self._exchange(self._board)

    def _circuit(self, upstream: Upstream) -> Circuit:
        if upstream not in self._circuits:
            self._circuits[upstream] = Circuit(rand=self._rand)
        return self._circuits[upstream]

    def _has_probe(self, upstream: Upstream) -> bool:
        opening = self._circuit(upstream).opening
        return opening is not None and opening.is_ours and not opening.is_probing

    def _want(self, upstream: Upstream) -> None:
        if self._board is None:
            self._circuit(upstream).grant(self._clock.monotonic())
        else:
            self._wanted.add(upstream)
            self._told.set()

    def _publish(self, upstream: Upstream, change: _Change) -> None:
        self._show(upstream.provider)
        if self._board is None:
            return
        self._changes[upstream] = change
        if change.number is None and change.turn is None:
            del self._changes[upstream]
        self._told.set()

    def _must_look(self) -> bool:
        """Whether something may change of which a lost wake-up would tell nothing."""
        now = self._clock.monotonic()
        return bool(self._changes) or any(c.seconds_left(now) > 0 or _is_probing(c) for c in self._circuits.values())

    async def _exchange(self, board: CircuitBoard) -> None:
        """Tell the board what it does not know, and take what it says; what a board that is away was asked is given."""
        wanted, told = frozenset(self._wanted), None
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await self._tell_board(board, wanted)
                told = await board.read()
        except (StatusError, TimeoutError) as error:
            _log.info("circuits are not shared now", cause=type(error).__name__)
        now = self._clock.monotonic()
        if told is not None:
            self._take({one.upstream: one for one in told}, now)
        else:
            for upstream in wanted:
                self._circuit(upstream).grant(now)
        self._wanted -= wanted
        done, self._exchanged = self._exchanged, asyncio.Event()
        done.set()

    async def _tell_board(self, board: CircuitBoard, wanted: frozenset[Upstream]) -> None:
        for upstream, change in list(self._changes.items()):
            if change.number is not None:
                seconds = max(0.0, change.until - self._clock.monotonic())
                await board.open(upstream, number=change.number, seconds=seconds, turn=change.turn)
            elif change.turn is not None:
                await board.close(upstream, turn=change.turn)
            if self._changes.get(upstream) is change:
                del self._changes[upstream]
        for upstream in wanted:
            await board.claim(upstream, holder=self._name, seconds=CLAIM_SECONDS)
        for upstream, circuit in list(self._circuits.items()):
            opening = circuit.opening
            if opening is None or opening.turn is None or not opening.is_probing:
                continue
            if opening.probe_until - self._clock.monotonic() < CLAIM_SECONDS / 2:
                await board.renew(upstream, turn=opening.turn, seconds=CLAIM_SECONDS)

    def _take(self, told: dict[Upstream, OpenCircuit], now: float) -> None:
        """What the board says holds, but for what it has not been told yet."""
        for upstream, circuit in self._circuits.items():
            if upstream not in told and upstream not in self._changes and circuit.opening is not None:
                circuit.close()
                self._show(upstream.provider)
        for upstream, one in told.items():
            if upstream in self._changes:
                continue
            if upstream.model:
                self._limits[upstream] = now + one.seconds_left
            else:
                self._circuit(upstream).adopt(one, now=now, is_ours=one.holder == self._name)
                self._show(upstream.provider)
        self._limits = {upstream: until for upstream, until in self._limits.items() if until > now}

    def _show(self, provider: str) -> None:
        if self._metrics is not None:
            theirs = (c for upstream, c in self._circuits.items() if upstream.provider == provider)
            self._metrics.gauge(MODEL_CIRCUIT_OPEN).labels(provider).set(any(c.opening is not None for c in theirs))


def upstream_of(endpoint: Endpoint) -> Upstream:
    """What faults of an endpoint are counted for."""
    return Upstream(endpoint.provider_name, endpoint.base_url)


def _limit_of(endpoint: Endpoint) -> Upstream:
    """What a 429 of an endpoint is about: limits are mostly those of a model."""
    return Upstream(endpoint.provider_name, endpoint.base_url, endpoint.upstream_id)


def _is_probing(circuit: Circuit) -> bool:
    return circuit.opening is not None and circuit.opening.is_probing


def _passed_over(why: str, seconds: float) -> UpstreamFault:
    return UpstreamFault(
        CIRCUIT_OPEN, f"not asked, because {why}", then=Then.FALL_BACK, in_doubt=False, retry_after_seconds=seconds
    )
