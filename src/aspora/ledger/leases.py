"""The leases of one process: a place among the holders for a time, and the slices that it has of each account.

Statements that change what is leased go one at a time (`lock`), so that the purse and the rows can be compared. After
one whose answer was lost the purse counts on the less, and asks what is so when that statement must be over.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aspora.db.pool import Row
from aspora.kit.clock import Clock
from aspora.ledger.books import Books, Want
from aspora.ledger.groups import Group
from aspora.ledger.interface import AccountKey, Part, Reservation
from aspora.ledger.purse import Purse
from aspora.ledger.refusals import Refusal, first_of
from aspora.ledger.throttles import Throttles
from aspora.ledger.windows import caps_of, needs_of
from aspora.meta.errors import Unavailable
from aspora.telemetry.logs import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a process leases.

    Attributes:
        ttl_seconds: How long its place lasts without being renewed.
        margin_seconds: How long before that it is used no more.
        tick_seconds: How often it is looked at; what was not used since the last look goes back.
        patience_seconds: How long a call waits for what other calls hold, or for its turn near a cap.
        retry_seconds: How often it asks meanwhile; what was refused is not asked for again before that.
        unsure_seconds: When a statement whose answer was lost is over: more than the statement timeout.
        calls_per_slice: A slice is meant for so many calls like the one that asks, when there is plenty.
        batch: Calls in one statement.
    """

    ttl_seconds: float = 10.0
    margin_seconds: float = 2.0
    tick_seconds: float = 0.5
    patience_seconds: float = 2.0
    retry_seconds: float = 0.05
    unsure_seconds: float = 60.0
    calls_per_slice: int = 64
    batch: int = 256


@dataclass(frozen=True, slots=True)
class _Ask:
    needs: Mapping[AccountKey, int]
    caps: Mapping[AccountKey, int | None]


class Leases:
    """What the process may reserve from.

    Attributes:
        epoch: Of its place; 0 while it has none. What was reserved under another is void.
        purse: Void too when the epoch changes.
        throttles: Of accounts near their cap; they outlast an epoch.
        lock: Held by whoever changes what is leased, until the purse knows it.
    """

    def __init__(self, books: Books, *, name: str, clock: Clock, terms: Terms) -> None:
        self.epoch = 0
        self.purse = Purse()
        self.throttles = Throttles(clock.monotonic)
        self.lock = asyncio.Lock()
        self._books = books
        self._name = name
        self._clock = clock
        self._terms = terms
        self._usable_until = self._renew_at = 0.0
        self._correct_at: float | None = None
        self._refused: dict[AccountKey, tuple[float, Refusal]] = {}
        self._grants = Group[_Ask, Refusal | None]("ledger-grants", self._grant, most=terms.batch)

    def is_usable(self) -> bool:
        """Whether its time, less the margin, goes on; by the clock that no one can turn."""
        return self._clock.monotonic() < self._usable_until

    def take(self, needs: Mapping[AccountKey, int]) -> tuple[Part, ...] | None:
        """Reserve from memory; None when that has too little."""
        return self.purse.reserve(needs) if self.is_usable() else None

    async def obtain(self, wanted: Reservation, at: datetime) -> Refusal | None:
        """Lease what a call lacks, together with others who ask; None: it is, or was, in the purse.

        Raises:
            Unavailable: The database can't be reached.
        """
        needs = needs_of(wanted, at)
        now = self._clock.monotonic()
        for key, need in needs.items():
            until, refusal = self._refused.get(key, (0.0, None))
            if refusal is not None and now < until and need >= refusal.need:
                return refusal
        return await self._grants.put(_Ask(needs, caps_of(wanted, at)))

    async def require(self) -> None:
        """See that the process has a place, a new one if its time is over; with the lock.

        Raises:
            Unavailable: The database can't be reached.
        """
        if self.is_usable():
            return
        if self.epoch:
            await self.renew()
        if self.is_usable():
            return
        self.forget()
        while await self._books.sweep():
            pass
        asked_at = self._clock.monotonic()
        self.epoch = await self._books.register(self._name, ttl_seconds=self._terms.ttl_seconds)
        self._extend(asked_at)

    async def renew(self) -> None:
        """Make its time longer, unless it is over; learn which accounts are paused or throttled."""
        epoch, asked_at, asked_of = self.epoch, self._clock.monotonic(), self.purse.accounts()
        renewed = await self._books.renew(epoch, ttl_seconds=self._terms.ttl_seconds)
        if epoch != self.epoch:
            return
        if renewed is None:
            self.forget()
            return
        self._extend(asked_at)
        self.purse.stop(renewed.paused)
        for key, account in asked_of.items():
            self.throttles.learn(key, is_near_cap=account in renewed.throttled)
        self.throttles.forget_idle(self.purse.accounts())

    async def tick(self) -> None:
        """Renew when it is time to, and give back what is not used."""
        if self.epoch and self._clock.monotonic() >= self._renew_at:
            await self.renew()
        async with self.lock:
            if not self.is_usable():
                return
            if self._correct_at is not None and self._clock.monotonic() >= self._correct_at:
                leased = await self._books.leases(self.epoch)
                self._correct_at = None
                await self._give_back(self.purse.correct(leased))
            await self._give_back(self.purse.take_idle())

    def forget(self) -> None:
        """The place is lost, and all that was leased under it."""
        if self.epoch:
            _log.warning("lease of budgets ended", epoch=self.epoch)
        self.epoch, self.purse, self._usable_until, self._correct_at = 0, Purse(), 0.0, None

    async def end(self) -> None:
        """Give all back and leave the place; calls that are not settled are in doubt from now on."""
        await self._grants.close()
        async with self.lock:
            epoch = self.epoch
            self.epoch, self.purse, self._usable_until = 0, Purse(), 0.0
            if epoch:
                await self._books.sweep(own=epoch)

    def _extend(self, asked_at: float) -> None:
        self._usable_until = asked_at + self._terms.ttl_seconds - self._terms.margin_seconds
        self._renew_at = asked_at + self._terms.ttl_seconds / 5

    def _lose_answer(self) -> None:
        self._correct_at = self._clock.monotonic() + self._terms.unsure_seconds

    async def _give_back(self, amounts: Mapping[int, int]) -> None:
        if not amounts:
            return
        try:
            is_alive = await self._books.give_back(self.epoch, amounts)
        except BaseException:
            self._lose_answer()
            raise
        if not is_alive:
            self.forget()

    async def _grant(self, asks: Sequence[_Ask]) -> list[Refusal | None]:
        async with self.lock:
            # A second time when the place turns out to be lost.
            for _ in range(2):
                await self.require()
                lacking = [self.purse.lacking(ask.needs) for ask in asks]
                requests = self._requests(asks, lacking)
                if not requests:
                    return [None] * len(asks)
                try:
                    rows = await self._books.grant(self.epoch, requests)
                except BaseException:
                    self._lose_answer()
                    raise
                if rows is not None:
                    granted = iter(zip(requests, rows, strict=True))
                    return [self._book(*next(granted)) if missing else None for missing in lacking]
                self.forget()
        raise Unavailable(
            f"process {self._name!r} was too slow to keep its lease of budgets; try again", retry_after_seconds=1
        )

    def _requests(self, asks: Sequence[_Ask], lacking: Sequence[Mapping[AccountKey, int]]) -> list[list[Want]]:
        """What to ask for: of each account the first asks for a slice, the others for what they need."""
        asked: set[AccountKey] = set()
        requests: list[list[Want]] = []
        for ask, missing in zip(asks, lacking, strict=True):
            wants: list[Want] = []
            for key, need in missing.items():
                want = need if key in asked else max(need, ask.needs[key] * self._terms.calls_per_slice)
                wants.append(Want(key=key, cap=ask.caps[key], need=need, want=want))
                asked.add(key)
            if wants:
                requests.append(wants)
        return requests

    def _book(self, request: Sequence[Want], rows: Sequence[Row]) -> Refusal | None:
        for want, row in zip(request, rows, strict=True):
            self.throttles.learn(want.key, is_near_cap=row["is_near_cap"])
        if rows[0]["granted"]:
            for want, row in zip(request, rows, strict=True):
                self.purse.add(want.key, account=row["account"], amount=row["slice"])
            return None
        refusals = [
            Refusal(
                key=want.key,
                need=want.need,
                cap=row["cap"],
                used=row["used"],
                leased=row["leased"],
                paused=row["paused"],
            )
            for want, row in zip(request, rows, strict=True)
            if row["slice"] is None
        ]
        if not refusals:  # it was free again a moment later
            return None
        refusal = first_of(refusals)
        now = self._clock.monotonic()
        self._refused = {key: known for key, known in self._refused.items() if known[0] > now}
        self._refused[refusal.key] = (now + self._terms.retry_seconds, refusal)
        return refusal
