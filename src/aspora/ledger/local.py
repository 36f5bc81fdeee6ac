"""The ledger of a process without a database: the same caps, kept in memory and gone with the process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aspora.kit.clock import Clock
from aspora.ledger import costs
from aspora.ledger.interface import AccountKey, CallId, Hold, Part, Reservation, Scope, Settled, Settlement, Unit
from aspora.ledger.refusals import Refusal, first_of
from aspora.ledger.windows import caps_of, needs_of

T = TypeVar("T")

_NO_EPOCH = 1


@dataclass(slots=True)
class _Account:
    cap: int | None
    spent: int = 0
    held: int = 0


class LocalLedger:
    """Implements `Ledger`; of one event loop.

    Args:
        clock: Says in which window a call falls.
        new_id: Makes ids of calls, each of them new.
    """

    def __init__(self, *, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id
        self._accounts: dict[AccountKey, _Account] = {}
        self._open: dict[CallId, bool] = {}
        """Calls that are not over, with whether they may go out."""
        self._doubtful: dict[CallId, Hold] = {}

    def spent_micro_usd(self, scope: Scope) -> int:
        """What a scope's calls cost in all its windows together, those in doubt at their full hold."""
        accounts = self._accounts.items()
        return sum(a.spent for key, a in accounts if key.scope == scope and key.unit is Unit.MICRO_USD)

    async def reserve(self, wanted: Reservation) -> Hold:
        """Set an upper bound aside in every account, or in none."""
        now = self._clock.now()
        needs = needs_of(wanted, now)
        for key, cap in caps_of(wanted, now).items():
            self._accounts.setdefault(key, _Account(cap))
        refusals = [self._refusal(key, need) for key, need in needs.items() if not self._fits(key, need)]
        if refusals:
            raise first_of(refusals).error(now)
        for key, need in needs.items():
            self._accounts[key].held += need
        parts = tuple(Part(key, 0, need) for key, need in needs.items())
        hold = Hold(CallId(self._new_id()), _NO_EPOCH, now, wanted, parts)
        self._open[hold.id] = False
        return hold

    async def intend(self, hold: Hold) -> None:
        """The call goes out; there is nothing to keep it in."""
        self._open[hold.id] = True

    def may_send(self, hold: Hold) -> bool:
        """Whether the call may go out now."""
        return self._open.get(hold.id, False)

    def settle(self, hold: Hold, settlement: Settlement) -> asyncio.Future[Settled]:
        """Book what a call cost."""
        booking = costs.book(
            settlement, hold_micro_usd=hold.reservation.hold_micro_usd, is_bounded=hold.reservation.is_bounded
        )
        tokens = costs.tokens_of(settlement)
        amounts = {
            Unit.MICRO_USD: booking.cost_micro_usd,
            Unit.TOKENS: hold.reservation.hold_tokens if tokens is None else tokens,
            Unit.REQUESTS: 1,
        }
        is_new = self._close(hold, amounts)
        return _done(Settled(booking.cost_micro_usd, booking.source, booking.findings, is_new))

    def doubt(self, hold: Hold) -> asyncio.Future[None]:
        """Charge a call in full until it is reconciled."""
        if self._close(hold, {part.key.unit: part.amount for part in hold.parts}):
            self._doubtful[hold.id] = hold
        return _done(None)

    def release(self, hold: Hold) -> asyncio.Future[None]:
        """Give a hold back whose call never went out."""
        self._close(hold, {})
        return _done(None)

    def _fits(self, key: AccountKey, need: int) -> bool:
        account = self._accounts[key]
        return account.cap is None or account.spent + account.held + need <= account.cap

    def _refusal(self, key: AccountKey, need: int) -> Refusal:
        account = self._accounts[key]
        return Refusal(key=key, need=need, cap=account.cap, used=account.spent, leased=account.held, paused=None)

    def _close(self, hold: Hold, amounts: dict[Unit, int]) -> bool:
        """Put what it cost in the place of what it held; False when that was done before."""
        if self._open.pop(hold.id, None) is not None:
            for part in hold.parts:
                account = self._accounts[part.key]
                account.held -= part.amount
                account.spent += amounts.get(part.key.unit, 0)
            return True
        if self._doubtful.pop(hold.id, None) is None:
            return False
        for part in hold.parts:
            self._accounts[part.key].spent += amounts.get(part.key.unit, 0) - part.amount
        return True


def _done(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
