"""Leadership over a real PostgreSQL: one at a time, quick to take over, late writes refused."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator

import pytest
from tests.integration.store.conftest import running_store

from aspora.db.advisory import PostgresLeaderLock
from aspora.db.pool import Database
from aspora.meta.errors import Conflict, StatusError
from aspora.meta.surroundings import Leadership, Needs, UnlessHeld
from aspora.reconcile.leader import run_as_leader
from aspora.store.interface import Key, Write
from aspora.store.postgres import PostgresStore

PATIENCE_SECONDS = 30
LEASE_SECONDS = 3.0


def lock_of(dsn: str, holder: str = "me") -> PostgresLeaderLock:
    return PostgresLeaderLock(dsn, name="controllers", holder=holder, lease_seconds=LEASE_SECONDS)


@pytest.fixture
async def store(dsn: str) -> AsyncGenerator[PostgresStore]:
    async with running_store(dsn) as opened:
        yield opened


def creation(name: str, leader: Leadership | None = None) -> Write:
    return Write("create", Key("Thing", "d", name), {"metadata": {"name": name}, "spec": {}}, leader=leader)


class Candidate:
    """A process that wants to lead, as a task."""

    def __init__(self, dsn: str, name: str) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.leads = asyncio.Event()
        self.was_cancelled = False
        self.terms: list[Leadership] = []
        self.task = asyncio.create_task(
            run_as_leader(lock_of(dsn, name), self._run, self.stop, grace_seconds=5), name=name
        )

    async def _run(self, leadership: Leadership, stop: asyncio.Event) -> None:
        self.terms.append(leadership)
        self.leads.set()
        try:
            await stop.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        finally:
            self.leads.clear()

    async def end(self) -> None:
        self.stop.set()
        await self.task


async def test_one_leads_at_a_time_and_the_next_begins_a_later_epoch(dsn: str, database: Database) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        first = Candidate(dsn, "first")
        await first.leads.wait()
        second = Candidate(dsn, "second")
        for _ in range(20):
            await database.ping()
        assert not second.leads.is_set()
        await first.end()
        await second.leads.wait()
        assert second.terms[0].epoch > first.terms[0].epoch
        await second.end()


async def test_who_waits_to_lead_holds_no_snapshot(dsn: str, database: Database) -> None:
    """Else an index that is made concurrently waits for it, and there are thirty in a new database."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        first = Candidate(dsn, "first")
        await first.leads.wait()
        second = Candidate(dsn, "second")
        known: set[int] = set()
        while len(known) < 2:
            known = {pid for pid, _ in await leader_sessions(database)}
        looks = [await leader_sessions(database) for _ in range(200)]
        assert any(not any(holds for _, holds in look) for look in looks)
        assert not second.leads.is_set()
        await second.end()
        await first.end()


async def leader_sessions(database: Database) -> list[tuple[int, bool]]:
    """Process id of each session of a leader or candidate, and whether it holds a snapshot."""
    async with database.connection() as connection:
        rows = await (
            await connection.execute(
                "select pid, backend_xmin is not null as holds from pg_stat_activity"
                " where datname = current_database() and application_name like 'aspora-leader%'"
            )
        ).fetchall()
    return [(row["pid"], row["holds"]) for row in rows]


async def test_a_leader_whose_session_ends_stops_its_work_and_stands_again(dsn: str, database: Database) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        only = Candidate(dsn, "only")
        await only.leads.wait()
        async with database.connection() as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name like 'aspora-leader%'"
            )
        while len(only.terms) < 2:
            await asyncio.sleep(0.01)
        assert only.terms[1].epoch > only.terms[0].epoch
        await only.end()


SILENT = """
import asyncio, os, signal, sys
from aspora.db.advisory import PostgresLeaderLock

async def main():
    lock = PostgresLeaderLock(sys.argv[1], name="controllers", holder="child", lease_seconds=float(sys.argv[2]))
    term = await lock.acquire()
    print(term.epoch, flush=True)
    os.kill(os.getpid(), signal.Signals[sys.argv[3]])
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
async def test_a_leader_that_is_killed_or_stopped_is_followed_and_fenced(
    dsn: str, store: PostgresStore, how: str
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SILENT, dsn, str(LEASE_SECONDS), how, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            old = Leadership("controllers", int(await child.stdout.readline()))
        [written] = await store.write([creation("while-it-leads", old)])
        assert written.error is None
        async with asyncio.timeout(PATIENCE_SECONDS):
            term = await lock_of(dsn, "heir").acquire()
        try:
            assert term.epoch == old.epoch + 1
            late, heirs, others = await store.write(
                [
                    creation("too-late", old),
                    creation("by-the-heir", Leadership("controllers", term.epoch)),
                    creation("by-nobody"),
                ]
            )
            assert isinstance(late.error, Conflict)
            assert "another 'controllers' leads" in str(late.error)
            assert (heirs.error, others.error) == (None, None)
        finally:
            await term.release()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


STOPPED_WITH_THE_LOCK = """
import asyncio, os, signal, sys
from aspora.db.advisory import PostgresLeaderLock

class StopsWithTheLock(PostgresLeaderLock):
    async def _try(self, connection):
        is_held = await super()._try(connection)
        print("held" if is_held else "not held", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        return is_held

lock = StopsWithTheLock(sys.argv[1], name="controllers", holder="child", lease_seconds=float(sys.argv[2]))
asyncio.run(lock.acquire())
"""


async def test_a_candidate_that_is_stopped_as_soon_as_it_has_the_lock_is_followed(dsn: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STOPPED_WITH_THE_LOCK, dsn, str(LEASE_SECONDS), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await child.stdout.readline() == b"held\n"
            term = await lock_of(dsn, "heir").acquire()
        await term.release()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def test_a_term_tells_when_it_is_over(dsn: str) -> None:
    term = await lock_of(dsn).acquire()
    await term.renew()
    await term.release()
    with pytest.raises(StatusError):
        await term.renew()


async def test_a_write_names_what_must_be_there_and_what_must_not(store: PostgresStore) -> None:
    revision, route = Key("Revision", "d", "r"), Key("Route", "d", "t")
    traffic = {"spec": {"traffic": [{"revision": "r"}]}}
    spec = {"metadata": {"name": "t"}, "spec": {"traffic": [{"revision": "x"}, {"revision": "r", "shareBp": 1}]}}
    needs = Write("create", route, spec, surroundings=(Needs("Revision", "d", "r"),))
    [dangling] = await store.write([needs])
    assert isinstance(dangling.error, Conflict)
    await store.write([Write("create", revision, {"metadata": {"name": "r"}, "spec": {}})])
    [made] = await store.write([needs])
    assert made.error is None
    delete = Write("delete", revision, surroundings=(UnlessHeld("Route", "d", traffic),))
    [held] = await store.write([delete])
    assert isinstance(held.error, Conflict)
    elsewhere = Write("delete", revision, surroundings=(UnlessHeld("Route", "other", traffic),))
    [gone] = await store.write([elsewhere])
    assert gone.is_deleted


async def test_of_a_route_and_the_delete_of_its_revision_one_wins(store: PostgresStore) -> None:
    for n in range(30):
        revision, route = Key("Revision", "d", f"r{n}"), Key("Route", "d", f"t{n}")
        part = {"spec": {"traffic": [{"revision": f"r{n}"}]}}
        await store.write([Write("create", revision, {"metadata": {"name": f"r{n}"}, "spec": {}})])
        pointed, deleted = await asyncio.gather(
            store.write(
                [
                    Write(
                        "create",
                        route,
                        {"metadata": {"name": f"t{n}"}, **part},
                        surroundings=(Needs("Revision", "d", f"r{n}"),),
                    )
                ]
            ),
            store.write([Write("delete", revision, surroundings=(UnlessHeld("Route", "d", part),))]),
        )
        assert [pointed[0].error is None, deleted[0].error is None].count(True) == 1
