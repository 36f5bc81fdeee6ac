"""Random histories of several ledgers on one PostgreSQL, judged by what the upstream charged.

Processes crash, stop past their lease, lose it by the database's clock, and lose answers. After each step the books
must add up; at the end they must say what the upstream charged, to the micro-dollar. Short by default, long with
ASPORA_TEST_FAULTS=full.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.integration.ledger.conftest import PLATFORM, SKILL, HandClock

from aspora.db.failures import OutcomeUnknown
from aspora.db.pool import Database
from aspora.ledger.books import Books
from aspora.ledger.doubts import LedgerDoubts
from aspora.ledger.escrow import Escrow
from aspora.ledger.interface import Hold, Limit, Reservation, Scope, ScopeKind, Settlement, Window
from aspora.ledger.leases import Terms
from aspora.meta.errors import BudgetExceeded, StatusError, Unavailable

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
TERMS = Terms(ttl_seconds=3600, margin_seconds=600, patience_seconds=0, retry_seconds=0, calls_per_slice=4)
PROCESSES = 2
UNDER = (
    Limit(Scope(ScopeKind.EXECUTION, "e1"), Window.EXECUTION, 300),
    Limit(SKILL, Window.HOUR, 700),
    Limit(SKILL, Window.DAY, 1500),
    Limit(PLATFORM, Window.MONTH, 2500),
)
LOSABLE = ("grant", "intend", "settle", "give_back")

ACCOUNTS = """
select a.*, coalesce((select sum(l.amount) from ledger_leases as l where l.account_id = a.id), 0) as lease_sum,
    coalesce((select sum(c.cost) from ledger_calls as c where a.id = any(c.accounts)), 0) as call_sum,
    coalesce((
        select sum(n.holds[array_position(n.accounts, a.id)]) from ledger_intents as n
        where n.in_doubt and a.id = any(n.accounts)
    ), 0) as doubt_sum
from ledger_accounts as a
"""
UNCOVERED = """
select n.id from ledger_intents as n cross join unnest(n.accounts, n.holds) as h (account, hold)
left join ledger_leases as l on l.account_id = h.account and l.epoch = n.epoch
where not n.in_doubt
group by n.epoch, h.account, l.amount, n.id having sum(h.hold) > coalesce(l.amount, 0)
"""
LEASES = "select * from ledger_leases"
HOLDERS = "select epoch from ledger_holders where ended_at is null"
TABLES = "ledger_holders, ledger_accounts, ledger_leases, ledger_intents, ledger_calls, ledger_thresholds"


class LossyBooks(Books):
    """Does what it is told, and may not live to say so."""

    lose = ""

    async def grant(self, *args: Any) -> Any:
        return self._answer("grant", await super().grant(*args))

    async def intend(self, *args: Any) -> Any:
        return self._answer("intend", await super().intend(*args))

    async def settle(self, *args: Any) -> Any:
        return self._answer("settle", await super().settle(*args))

    async def give_back(self, *args: Any) -> Any:
        return self._answer("give_back", await super().give_back(*args))

    def _answer(self, name: str, answer: Any) -> Any:
        if self.lose == name:
            self.lose = ""
            raise OutcomeUnknown("the answer was lost")
        return answer


@dataclass
class Process:
    ledger: Escrow
    books: LossyBooks
    clock: HandClock
    reserved: list[Hold] = field(default_factory=list[Hold])
    intended: list[Hold] = field(default_factory=list[Hold])
    sent: list[Hold] = field(default_factory=list[Hold])


class Histories(RuleBasedStateMachine):
    """Each step is a rule; `charges` is the upstream's own bill."""

    runner: asyncio.Runner
    database: Database
    ids = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.charges: dict[str, int] = {}
        self.holds: dict[str, Hold] = {}
        self.do(self.execute(f"truncate {TABLES}"))
        self.processes = [self.do(self.start()) for _ in range(PROCESSES)]

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def execute(self, sql: str) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            cursor = await connection.execute(sql.encode())
            return await cursor.fetchall() if cursor.description else []

    async def start(self) -> Process:
        books, clock = LossyBooks(self.database), HandClock()
        ledger = Escrow(books, name="p", clock=clock, new_id=lambda: f"c{next(self.ids)}", terms=TERMS)
        async with ledger._leases.lock:
            await ledger._leases.require()
        return Process(ledger, books, clock)

    process = st.integers(0, PROCESSES - 1)
    under = st.sets(st.sampled_from(UNDER), min_size=1)

    @rule(at=process, hold=st.integers(0, 400), under=under, count=st.integers(1, 5))
    def reserve(self, at: int, hold: int, under: set[Limit], count: int) -> None:
        """Some at once; each is granted or refused."""
        process = self.processes[at]
        limits = tuple(limit for limit in UNDER if limit in under)
        wanted = Reservation(limits=limits, hold_micro_usd=hold, model="m", provider="p")

        async def all_at_once() -> Sequence[Any]:
            asking = (process.ledger.reserve(wanted) for _ in range(count))
            return await asyncio.gather(*asking, return_exceptions=True)

        for answer in self.do(all_at_once()):
            if isinstance(answer, Hold):
                process.reserved.append(answer)
                self.holds[answer.id] = answer
            elif not isinstance(answer, (BudgetExceeded, Unavailable)):
                raise answer

    @precondition(lambda self: any(p.reserved for p in self.processes))
    @rule(at=process)
    def intend(self, at: int) -> None:
        """All that are reserved; one that can't be kept is released."""
        process = self.processes[at]

        async def all_at_once() -> Sequence[Any]:
            return await asyncio.gather(*(process.ledger.intend(h) for h in process.reserved), return_exceptions=True)

        for hold, answer in zip(process.reserved, self.do(all_at_once()), strict=True):
            if isinstance(answer, StatusError):
                self.do(_told(process.ledger.release, hold))
            else:
                assert answer is None
                process.intended.append(hold)
        process.reserved.clear()

    @precondition(lambda self: any(p.intended for p in self.processes))
    @rule(at=process, share=st.integers(0, 110))
    def send(self, at: int, share: int) -> None:
        """What may go out goes out, and the upstream charges a share of its hold, in percent."""
        process = self.processes[at]
        if process.intended:
            hold = process.intended.pop()
            if process.ledger.may_send(hold):
                self.charges[hold.id] = hold.reservation.hold_micro_usd * share // 100
                process.sent.append(hold)
            else:
                self.do(_told(process.ledger.release, hold))

    @precondition(lambda self: any(p.sent for p in self.processes))
    @rule(at=process, times=st.integers(1, 2))
    def settle(self, at: int, times: int) -> None:
        process = self.processes[at]

        async def all_at_once() -> None:
            told = [
                process.ledger.settle(hold, Settlement(upstream_micro_usd=self.charges[hold.id]))
                for hold in process.sent * times
            ]
            await asyncio.gather(*told)

        self.do(all_at_once())
        process.sent.clear()

    @precondition(lambda self: any(p.sent for p in self.processes))
    @rule(at=process)
    def doubt(self, at: int) -> None:
        process = self.processes[at]
        if process.sent:
            self.do(_told(process.ledger.doubt, process.sent.pop()))

    @precondition(lambda self: any(p.reserved or p.intended for p in self.processes))
    @rule(at=process)
    def release(self, at: int) -> None:
        process = self.processes[at]
        for holds in (process.reserved, process.intended):
            if holds:
                self.do(_told(process.ledger.release, holds.pop()))

    @rule(at=process)
    def tick(self, at: int) -> None:
        self.do(_unless_unavailable(self.processes[at].ledger._tick()))

    @rule(at=process, seconds=st.sampled_from([61.0, 2900.0, 3700.0]))
    def stand_still(self, at: int, seconds: float) -> None:
        """As SIGSTOP does: its clock goes on."""
        self.processes[at].clock.seconds += seconds

    @rule(at=process, name=st.sampled_from(LOSABLE))
    def lose_an_answer(self, at: int, name: str) -> None:
        self.processes[at].books.lose = name

    @rule(at=process)
    def expire(self, at: int) -> None:
        """By the database's clock, whatever the process thinks."""
        epoch = self.processes[at].ledger._leases.epoch
        self.do(self.execute(f"update ledger_holders set expires_at = now() where epoch = {epoch}"))

    @rule()
    def sweep(self) -> None:
        self.do(LedgerDoubts(self.database).sweep())

    @rule(at=process)
    def crash(self, at: int) -> None:
        """All that it knew is gone; another starts, and the lease runs out some time."""
        self.expire(at)
        self.processes[at] = self.do(self.start())

    @rule()
    def reconcile(self) -> None:
        self.do(self.reconcile_all())

    async def reconcile_all(self) -> None:
        doubts = LedgerDoubts(self.database)
        for call in await doubts.page():
            # The upstream knows nothing of one that never went out.
            told = Settlement(upstream_micro_usd=self.charges.get(call.id, 0))
            if call.id in self.charges or call.id not in self.alive():
                await doubts.reconcile(call.id, told)

    def alive(self) -> set[str]:
        """Calls that their process may still send."""
        return {hold.id for process in self.processes for hold in (*process.reserved, *process.intended)}

    @invariant()
    def books_add_up(self) -> None:
        for row in self.do(self.execute(ACCOUNTS)):
            assert row["leased"] == row["lease_sum"] >= 0
            assert row["spent"] == row["call_sum"] + row["doubt_sum"]
            assert row["in_doubt"] == row["doubt_sum"]
            assert row["spent"] + row["leased"] <= row["cap"] or row["overrun"] > 0
        assert self.do(self.execute(UNCOVERED)) == []

    @invariant()
    def no_purse_has_more_than_its_lease(self) -> None:
        leased = {(r["epoch"], r["account_id"]): r["amount"] for r in self.do(self.execute(LEASES))}
        live = {
            row["epoch"] for row in self.do(self.execute("select epoch from ledger_holders where ended_at is null"))
        }
        for leases in (process.ledger._leases for process in self.processes):
            if leases.epoch in live:
                for share in leases.purse._shares.values():
                    assert share.free + share.held <= leased.get((leases.epoch, share.account), 0)

    @invariant()
    def each_charge_is_in_the_books(self) -> None:
        calls = self.do(self.execute("select id, cost from ledger_calls"))
        assert len(calls) == len({row["id"] for row in calls}), "charged twice"
        settled = {row["id"]: row["cost"] for row in calls}
        covered = {row["id"]: row["hold"] for row in self.do(self.execute("select id, hold from ledger_intents"))}
        for call, charge in self.charges.items():
            if call in settled:
                assert settled[call] == charge
            else:
                assert covered[call] == self.holds[call].reservation.hold_micro_usd

    def teardown(self) -> None:
        for at in range(PROCESSES):
            if self.processes[at].sent:
                self.settle(at, 1)
            self.do(self.processes[at].ledger.close())
            for holds in (self.processes[at].reserved, self.processes[at].intended):
                holds.clear()
        self.sweep()
        self.do(self.reconcile_all())
        self.books_add_up()
        self.each_charge_is_in_the_books()
        for row in self.do(self.execute(ACCOUNTS)):
            assert (row["leased"], row["in_doubt"]) == (0, 0)
        costs = self.do(self.execute("select coalesce(sum(cost), 0) as cost from ledger_calls"))
        assert costs[0]["cost"] == sum(self.charges.values())


async def _told(say: Callable[[Hold], asyncio.Future[Any]], hold: Hold) -> Any:
    return await say(hold)


async def _unless_unavailable(work: Coroutine[Any, Any, Any]) -> None:
    with suppress(Unavailable):
        await work


@pytest.fixture
def machine(dsn: str) -> Generator[type[Histories]]:
    with asyncio.Runner() as runner:
        database = runner.run(Database.open(dsn, max_size=4))
        yield type("OnOneDatabase", (Histories,), {"runner": runner, "database": database})
        runner.run(database.close())


@pytest.mark.timeout(3600 if IS_FULL else 120)
def test_random_histories(machine: type[Histories]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=1000 if IS_FULL else 25,
            stateful_step_count=80 if IS_FULL else 40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
