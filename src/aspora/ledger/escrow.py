"""The ledger of one process: reserves from leases in memory, and has calls share statements and flushes."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Self

from aspora.db.pool import Database
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.ledger import costs, items
from aspora.ledger.books import Answers, Books
from aspora.ledger.groups import Group
from aspora.ledger.interface import AccountKey, CallId, Hold, Reservation, Settled, Settlement
from aspora.ledger.leases import Leases, Terms
from aspora.ledger.refusals import too_slow
from aspora.ledger.windows import needs_of
from aspora.meta.errors import Conflict, StatusError, Timeout, Unavailable
from aspora.telemetry.logs import get_logger

_log = get_logger(__name__)
_BACKOFF = Backoff(base_seconds=0.05, max_seconds=2.0, jitter_ratio=0.5)


class _Stage(Enum):
    """Of a hold. `UNSURE`: whether its intent is kept is not known."""

    RESERVED = auto()
    INTENDED = auto()
    UNSURE = auto()


@dataclass(frozen=True, slots=True)
class _Ending:
    """What is said of a hold's call; `answer` makes the caller's answer of whether that was new."""

    hold: Hold
    item: Mapping[str, Any]
    answer: Callable[[bool], Any]
    due: float = 0.0

    @property
    def is_release(self) -> bool:
        return self.item["act"] == "release"


class Escrow:
    """Implements `Ledger`. Made by `open`; `run` must be running, and `close` gives all back.

    Args:
        name: Of the process, for people.
        clock: Its wall time is the database's.
        new_id: Makes ids of calls, each of them new.
        on_fired: Called after a statement that passed thresholds; they wait to be told.
    """

    def __init__(
        self,
        books: Books,
        *,
        name: str,
        clock: Clock,
        new_id: Callable[[], str],
        terms: Terms,
        on_fired: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_fired = on_fired
        self._terms = terms
        self._books = books
        self._clock = clock
        self._new_id = new_id
        self._leases = Leases(books, name=name, clock=clock, terms=terms)
        self._stages: dict[CallId, _Stage] = {}
        self._ending: set[CallId] = set()
        self._late: list[_Ending] = []
        self._sweep_at = 0.0
        self._stopping = asyncio.Event()
        self._given_up = asyncio.Event()
        self._intents = Group[Hold, bool]("ledger-intents", self._keep, most=terms.batch)
        self._endings = Group[_Ending, Any]("ledger-endings", self._end, most=terms.batch, sends_left=True)

    @classmethod
    async def open(
        cls,
        database: Database,
        *,
        name: str,
        clock: Clock,
        new_id: Callable[[], str],
        terms: Terms | None = None,
        on_fired: Callable[[], None] = lambda: None,
    ) -> Self:
        """One that has a lease.

        Raises:
            Unavailable: The database can't be reached.
        """
        made = cls(Books(database), name=name, clock=clock, new_id=new_id, terms=terms or Terms(), on_fired=on_fired)
        async with made._leases.lock:
            await made._leases.require()
        return made

    async def reserve(self, wanted: Reservation) -> Hold:
        """Set an upper bound aside in every account, or in none."""
        if wanted.hold_micro_usd < 0 or wanted.hold_tokens < 0:
            raise ValueError(f"a hold must be 0 or more, not {min(wanted.hold_micro_usd, wanted.hold_tokens)}")
        deadline = self._clock.monotonic() + self._terms.patience_seconds
        while True:
            now = self._clock.now()
            needs = needs_of(wanted, now)
            if await self._waits_for_turn(needs, deadline):
                continue
            parts = self._leases.take(needs)
            if parts is not None:
                self._leases.throttles.let_through(needs)
                hold = Hold(CallId(self._new_id()), self._leases.epoch, now, wanted, parts)
                self._stages[hold.id] = _Stage.RESERVED
                return hold
            if self._stopping.is_set():
                raise _stopping()
            refusal = await self._leases.obtain(wanted, now)
            if refusal is not None:
                if refusal.is_final or self._clock.monotonic() >= deadline:
                    raise refusal.error(now)
                await wait_for_event(self._stopping, self._terms.retry_seconds)

    async def _waits_for_turn(self, needs: Mapping[AccountKey, int], deadline: float) -> bool:
        """Wait, when an account near its cap has just let another call through; False: there was no need to.

        Raises:
            TooManyRequests: The turn comes too late.
        """
        key, wait_seconds = self._leases.throttles.slowest(needs)
        if key is None:
            return False
        if self._clock.monotonic() + wait_seconds > deadline:
            raise too_slow(key, wait_seconds)
        if await wait_for_event(self._stopping, wait_seconds):
            raise _stopping()
        return True

    async def intend(self, hold: Hold) -> None:
        """Keep durably that the call goes out."""
        if not await self._intents.put(hold):
            raise Unavailable(f"the lease of call {hold.id!r} has ended; send the request again", retry_after_seconds=1)

    def may_send(self, hold: Hold) -> bool:
        """Whether the call may go out now."""
        return self._stages.get(hold.id) is _Stage.INTENDED and self._is_good(hold)

    def settle(self, hold: Hold, settlement: Settlement) -> asyncio.Future[Settled]:
        """Book what a call cost."""
        self._require_intent(hold)
        wanted = hold.reservation
        booking = costs.book(settlement, hold_micro_usd=wanted.hold_micro_usd, is_bounded=wanted.is_bounded)

        def answer(is_new: bool) -> Settled:
            return Settled(booking.cost_micro_usd, booking.source, booking.findings, is_new)

        return self._put(
            _Ending(hold, items.settling(hold.id, settlement, booking, is_bounded=wanted.is_bounded), answer)
        )

    def doubt(self, hold: Hold) -> asyncio.Future[None]:
        """Charge a call in full until it is reconciled."""
        self._require_intent(hold)
        return self._put(_Ending(hold, items.doubting(hold.id), _nothing))

    def release(self, hold: Hold) -> asyncio.Future[None]:
        """Give a hold back whose call never went out."""
        return self._put(_Ending(hold, items.releasing(hold.id), _nothing))

    async def run(self, stop: asyncio.Event) -> None:
        """Renew the lease, give back what is idle and clear up after dead processes, until told to stop."""
        while not await wait_for_event(stop, self._terms.tick_seconds):
            try:
                await self._tick()
            except StatusError as error:
                _log.warning("ledger can't reach the database", reason=error.reason)

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Settle what was told and give all back; what can't be written in time is in doubt when the lease ends."""
        self._stopping.set()
        self._release_late(math.inf)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._intents.drain()
                await self._endings.drain()
        self._given_up.set()
        await self._intents.close()
        await self._endings.close()
        await self._leases.end()

    async def _tick(self) -> None:
        now = self._clock.monotonic()
        self._release_late(now)
        await self._leases.tick()
        if now >= self._sweep_at:
            self._sweep_at = now + self._terms.ttl_seconds
            while swept := await self._books.sweep():
                _log.warning("lease of a dead process ended", epoch=swept.epoch, doubted=swept.doubted)
                self._tell_of(swept.fired)

    def _release_late(self, now: float) -> None:
        """Say again those releases that were put off until now."""
        due = [ending for ending in self._late if ending.due <= now]
        self._late = [ending for ending in self._late if ending.due > now]
        for ending in due:
            self._endings.put(ending)

    def _tell_of(self, fired: int) -> None:
        if fired:
            self._on_fired()

    def _require_intent(self, hold: Hold) -> None:
        if self._stages.get(hold.id) is _Stage.RESERVED:
            raise ValueError(f"call {hold.id!r} has no intent; release it, or intend before it goes out")

    def _is_good(self, hold: Hold) -> bool:
        return hold.id not in self._ending and hold.epoch == self._leases.epoch and self._leases.is_usable()

    def _put(self, ending: _Ending) -> asyncio.Future[Any]:
        self._ending.add(ending.hold.id)
        return self._endings.put(ending)

    async def _keep(self, holds: Sequence[Hold]) -> list[bool]:
        """Keep the intents of those whose lease goes on."""
        epoch = self._leases.epoch
        good = [hold for hold in holds if hold.id in self._stages and self._is_good(hold)]
        if not good:
            return [False] * len(holds)
        for hold in good:
            self._stages[hold.id] = _Stage.UNSURE
        is_alive = await self._books.intend(epoch, good)
        for hold in good:
            self._stages[hold.id] = _Stage.INTENDED if is_alive else _Stage.RESERVED
        if not is_alive and epoch == self._leases.epoch:
            self._leases.forget()
        kept = {hold.id for hold in good} if is_alive else set[CallId]()
        return [hold.id in kept for hold in holds]

    async def _end(self, endings: Sequence[_Ending]) -> list[Any]:
        # An intent may be on its way whose caller has left.
        await self._intents.present_batch()
        sure = [ending for ending in endings if not self._put_off(ending)]
        if not sure:
            return [ending.answer(False) for ending in endings]
        async with self._leases.lock:
            answers = await self._until_answered([ending.item for ending in sure])
            for ending in sure:
                self._leave(ending)
            self._leases.purse.stop(answers.paused)
            for ending, was_known in zip(sure, answers.known, strict=True):
                for part in ending.hold.parts if was_known else ():
                    self._leases.throttles.learn(part.key, is_near_cap=part.account in answers.throttled)
        self._tell_of(answers.fired)
        known = dict(zip(map(id, sure), answers.known, strict=True))
        return [ending.answer(known.get(id(ending), False)) for ending in endings]

    def _put_off(self, ending: _Ending) -> bool:
        """Whether to wait until an intent can't come any more: then its hold may be used again, not before."""
        if not ending.is_release or ending.due or self._stages.get(ending.hold.id) is not _Stage.UNSURE:
            return False
        self._late.append(replace(ending, due=self._clock.monotonic() + self._terms.unsure_seconds))
        return True

    async def _until_answered(self, told: Sequence[Mapping[str, Any]]) -> Answers:
        """Say it until the database has heard: it is safe to repeat, and what was spent must be booked."""
        attempt = 0
        while True:
            try:
                return await self._books.settle(told)
            except (Unavailable, Timeout, Conflict):
                if await wait_for_event(self._given_up, _BACKOFF.delay_seconds(attempt)):
                    raise
                attempt += 1

    def _leave(self, ending: _Ending) -> None:
        """The call is no longer this process's matter; what it held has left the lease or is free again."""
        hold = ending.hold
        self._ending.discard(hold.id)
        if self._stages.pop(hold.id, None) is None or hold.epoch != self._leases.epoch:
            return
        if ending.is_release:
            self._leases.purse.release(hold.parts)
        else:
            self._leases.purse.settle(hold.parts)


def _stopping() -> Unavailable:
    return Unavailable("this Aspora is stopping; send the request again to another, or when it is up")


def _nothing(_is_new: bool) -> None:
    return None
