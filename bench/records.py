"""How many executions a second can be recorded, claimed and finished, with nothing run: `python -m bench.records`.

Method: so many clients, each in turn inserts an execution, claims the oldest waiting one and finishes it: three
transactions, the two that must last flushed to disk. Wake-ups are sent as in production, folded into few statements.
"""

import argparse
import asyncio
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aspora.db.embedded import EmbeddedPostgres
from aspora.db.migrate import migrate
from aspora.db.pool import Database
from aspora.meta.names import NodeId
from aspora.records.executions import Executions
from aspora.records.ids import execution_id
from aspora.records.nodes import NodeFacts, Nodes
from aspora.records.rows import Ending, NewExecution, Owner
from aspora.records.wakeups import CHANGED, PENDING, Wakeups
from bench.processor import grown, tree_seconds
from bench.report import because, parts, show

CONCURRENCY, SECONDS, WARM_UP_SECONDS = 16, 5.0, 1.0
RESULT = {"success": True, "message": "done", "data": {}, "confidence": 1.0}


def _new() -> NewExecution:
    now = datetime.now(UTC)
    return NewExecution(
        id=execution_id(now, entropy=secrets.randbits(32)),
        domain="bench",
        skill="noop",
        revision="noop-0000000000",
        environment="production",
        execution_class="inline",
        input={"userMessage": "go", "metadata": {}},
        input_ref=None,
        caller="bench",
        trigger={"type": "api"},
        created_at=now,
        deadline=now + timedelta(seconds=60),
        stages={"gateway": 1.0},
    )


class Bench:
    """One database, one node."""

    def __init__(self, database: Database, owner: Owner) -> None:
        self._database = database
        self._owner = owner
        self._executions = Executions(database)
        self.wakeups = Wakeups(database)
        self.finished = 0

    async def turn(self) -> None:
        """Record one, finish one."""
        async with self._database.connection() as connection:
            await self._executions.insert(connection, _new())
        self.wakeups.send(PENDING)
        for claim in await self._executions.claim_inline(self._owner, limit=1):
            ending = Ending(state="Succeeded", finished_at=datetime.now(UTC), result=RESULT, stages={"process": 1.0})
            if await self._executions.finish(claim, ending, []):
                self.finished += 1
            self.wakeups.send(CHANGED)

    async def run_for(self, seconds: float, *, clients: int) -> float:
        """Finished executions a second."""
        before, began = self.finished, time.monotonic()

        async def client() -> None:
            while time.monotonic() - began < seconds:
                await self.turn()

        await asyncio.gather(*(client() for _ in range(clients)))
        return (self.finished - before) / (time.monotonic() - began)


async def measure(dsn: str, *, clients: int = CONCURRENCY, seconds: float = SECONDS) -> float:
    """Executions recorded and finished a second, in a migrated database."""
    async with await Database.open(dsn, min_size=clients, max_size=clients) as database:
        await migrate(database)
        facts = NodeFacts(id=NodeId(f"bench-{secrets.token_hex(4)}"), role="bench", host="", pid=0, version="")
        owner = await Nodes(database).register(facts, ttl_seconds=3600)
        bench, stop = Bench(database, owner), asyncio.Event()
        waking = asyncio.create_task(bench.wakeups.run(stop))
        await bench.run_for(WARM_UP_SECONDS, clients=clients)
        rate = await bench.run_for(seconds, clients=clients)
        stop.set()
        await waking
        await Nodes(database).stop(owner)
        return rate


def measure_records(data_dir: Path) -> None:
    """The figure and its bound; `data_dir` is that of an Aspora that is down."""
    server = EmbeddedPostgres(data_dir)
    server.start()
    try:
        before, began = tree_seconds(server.pid), time.process_time()
        rate = asyncio.run(measure(server.dsn))
        used = {"client": time.process_time() - began}
        used |= grown(before, tree_seconds(server.pid), per=1)
    finally:
        server.stop()
    method = f"insert, claim and finish, {CONCURRENCY} clients, {SECONDS:g} s, embedded PostgreSQL"
    show("record and finish alone, 16 at a time", f"{rate:.0f}/s", "≥ 300/s", method)
    each_ms = {name: seconds * 1000 / rate / (WARM_UP_SECONDS + SECONDS) for name, seconds in used.items()}
    because(f"one Python process, then flushes (two an execution, shared): {parts(each_ms, digits=2, unit='ms')} each")


def main() -> None:
    """Print the rate at several concurrencies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", required=True, help="an empty database that may be filled")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    args = parser.parse_args()
    for clients in (1, CONCURRENCY):
        rate = asyncio.run(measure(args.dsn, clients=clients, seconds=args.seconds))
        print(f"{clients:>3} clients: {rate:.0f} executions/s", flush=True)


if __name__ == "__main__":
    main()
