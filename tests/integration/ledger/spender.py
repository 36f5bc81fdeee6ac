"""A process that spends: `python spender.py DSN BILL WIDTH [ANSWERS]`, once it is told to on standard input.

Each call that goes out is one line of the bill (call, cost, epoch), written by the upstream before it answers; after so
many answers it gives no more. With `asleep` in place of the width the process stops itself with calls about to go out,
and says what it does when it goes on.
"""

import asyncio
import os
import random
import signal
import sys
import uuid
from pathlib import Path

from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.ledger.escrow import Escrow
from aspora.ledger.interface import Limit, Reservation, Scope, ScopeKind, Settlement, Window
from aspora.ledger.leases import Terms
from aspora.meta.errors import BudgetExceeded, TooManyRequests, Unavailable

CAP_MICRO_USD = 5_000_000
HOLD_MICRO_USD = 40_000
FOR_EVER_SECONDS = 3600
LIMITS = (
    Limit(Scope(ScopeKind.SKILL, "wealth/create-goal"), Window.MONTH, CAP_MICRO_USD),
    Limit(Scope(ScopeKind.PLATFORM, ""), Window.MONTH, None),
)
TERMS = Terms(ttl_seconds=3, margin_seconds=1, tick_seconds=0.1, patience_seconds=8)


class Upstream:
    """Charges what it likes, up to the bound."""

    def __init__(self, bill: Path, *, answers: float) -> None:
        self._bill = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._answers = answers

    async def call(self, name: str, epoch: int) -> int:
        cost = random.randint(1, HOLD_MICRO_USD)
        os.write(self._bill, f"{name} {cost} {epoch}\n".encode())
        self._answers -= 1
        await asyncio.sleep(random.uniform(0, 0.05) if self._answers >= 0 else FOR_EVER_SECONDS)
        return cost


async def spend(ledger: Escrow, upstream: Upstream) -> None:
    """Calls until the budget is spent, or nearly so."""
    wanted = Reservation(limits=LIMITS, hold_micro_usd=HOLD_MICRO_USD, model="m", provider="p")
    while True:
        try:
            hold = await ledger.reserve(wanted)
        except (BudgetExceeded, TooManyRequests):
            return
        except Unavailable:
            continue
        try:
            await ledger.intend(hold)
        except Unavailable:
            await ledger.release(hold)
            continue
        if not ledger.may_send(hold):
            await ledger.release(hold)
            continue
        cost = await upstream.call(hold.id, hold.epoch)
        await ledger.settle(hold, Settlement(upstream_micro_usd=cost))


async def sleep_on_it(ledger: Escrow) -> None:
    """Be stopped right before calls go out."""
    wanted = Reservation(limits=LIMITS, hold_micro_usd=HOLD_MICRO_USD, model="m", provider="p")
    holds = [await ledger.reserve(wanted) for _ in range(3)]
    await asyncio.gather(*(ledger.intend(hold) for hold in holds))
    print("may send", sum(ledger.may_send(hold) for hold in holds), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    print("may send", sum(ledger.may_send(hold) for hold in holds), flush=True)
    for hold in holds:
        await ledger.release(hold)
    again = await ledger.reserve(wanted)
    await ledger.intend(again)
    print("again", ledger.may_send(again), again.epoch > holds[0].epoch, flush=True)
    await ledger.release(again)


async def main(dsn: str, bill: str, width: str, answers: str = "inf") -> None:
    stop = asyncio.Event()
    async with await Database.open(dsn, max_size=4) as database:
        ledger = await Escrow.open(
            database, name=str(os.getpid()), clock=SystemClock(), new_id=lambda: uuid.uuid4().hex, terms=TERMS
        )
        running = asyncio.create_task(ledger.run(stop))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        if width == "asleep":
            await sleep_on_it(ledger)
        else:
            upstream = Upstream(Path(bill), answers=float(answers))
            await asyncio.gather(*(spend(ledger, upstream) for _ in range(int(width))))
        stop.set()
        await running
        await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
