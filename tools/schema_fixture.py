"""Keep what a release had in its database: `python tools/schema_fixture.py 3 --rev v0.1` writes 0003.json.

A fixture holds the checksums of the migrations, rows of every table, columns, functions and the named queries of that
release's code. Tests bring it up to the newest schema and run the old queries there. Make one for each release.
"""

import argparse
import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import sql

from aspora.access.defaults import default_roles
from aspora.backup.snapshot import list_tables
from aspora.db.listen import Listener
from aspora.db.migrate import load_migrations, migrate
from aspora.db.pool import Connection, Database
from aspora.db.queries import parse
from aspora.kit.clock import SystemClock
from aspora.meta.names import NodeId
from aspora.models.defaults import default_objects
from aspora.records.executions import Executions
from aspora.records.ids import execution_id
from aspora.records.nodes import NodeFacts, Nodes
from aspora.records.rows import NewExecution
from aspora.store.interface import Key, Write
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.testing.postgres import shared_postgres

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "data" / "schema"
FUNCTIONS = b"""
    select p.oid::regprocedure::text as signature from pg_proc p
    where p.pronamespace = current_schema()::regnamespace and p.proname like 'aspora%' order by 1
"""
RECORDS = b"""
    insert into effects (execution_id, day, connector, operation, arguments_digest, occurrence, state, idempotent,
        attempt, owner_epoch)
    select id, day, 'crm', 'post', 'd', 0, 'done', false, 1, 1 from executions;
    insert into model_calls (execution_id, day, attempt, at, alias, provider, upstream, outcome, cost_source,
        duration_ms)
    select id, day, 1, now(), 'm', 'p', 'u', 'ok', 'none', 5.0 from executions;
    insert into idempotency_keys values ('tester', 'default', 'echo', 'k', 'd', 'e', now() + interval '1 day');
"""


def queries_of(rev: str) -> dict[str, dict[str, str]]:
    """The named queries of a revision of the code, by file."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    names = git("ls-tree", "-r", "--name-only", rev, "src/aspora").split()
    files = [n for n in names if n.endswith(".sql") and "/migrations/" not in n and "executor" not in n]
    return {name.removeprefix("src/aspora/"): parse(git("show", f"{rev}:{name}"), source=name) for name in files}


async def fill(database: Database, dsn: str) -> None:
    """Rows of every sort, through the code that writes them."""
    store = PostgresStore(database, Listener(dsn, [CHANNEL]), SystemClock())
    domain = {"kind": "Domain", "metadata": {}, "spec": {}}
    writes = [Write("create", Key("Domain", "", "default"), domain)]
    for obj in (*default_roles(), *default_objects()):
        writes.append(Write("create", Key(obj["kind"], "", obj["metadata"]["name"]), obj))
    for result in await store.write(writes):
        if result.error:
            raise result.error
    await store.write([Write("delete", Key("Role", "", "agent"))])
    now = datetime.now(UTC)
    new = NewExecution(
        id=execution_id(now, entropy=1),
        domain="default",
        skill="echo",
        revision="echo-1",
        environment="production",
        execution_class="inline",
        input={"text": "hello"},
        input_ref=None,
        caller="tester",
        trigger={"type": "api"},
        created_at=now,
        deadline=now,
        stages={},
    )
    async with database.connection() as connection:
        await Executions(database).insert(connection, new)
        for statement in RECORDS.split(b";")[:-1]:
            await connection.execute(statement)
    facts = NodeFacts(id=NodeId("node-1"), role="executor", host="h", pid=1, version="0.1.0")
    await Nodes(database).register(facts, ttl_seconds=1)


async def rows(connection: Connection) -> dict[str, Any]:
    """Every table: its columns and its rows as JSON."""
    found: dict[str, Any] = {}
    for table in await list_tables(connection):
        if table.name == "schema_migrations":
            continue
        columns = sql.SQL(", ").join(sql.Identifier(name) for name, _ in table.columns)
        command = sql.SQL("select to_jsonb(x) as row from (select {} from {}) as x").format(
            columns, sql.Identifier(table.name)
        )
        cursor = await connection.execute(command)
        found[table.name] = {
            "columns": [list(column) for column in table.columns],
            "rows": [row["row"] for row in await cursor.fetchall()],
        }
    return found


async def make(number: int, rev: str, dsn: str) -> dict[str, Any]:
    """The fixture."""
    migrations = [m for m in load_migrations() if m.number <= number]
    async with await Database.open(dsn, max_size=4) as database:
        await migrate(database, migrations)
        await fill(database, dsn)
        async with database.connection() as connection:
            functions = await (await connection.execute(FUNCTIONS)).fetchall()
            return {
                "migrations": {m.name: m.checksum for m in migrations},
                "tables": await rows(connection),
                "functions": [row["signature"] for row in functions],
                "queries": queries_of(rev),
            }


def main() -> None:
    """Write one fixture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, help="number of the newest migration of that release")
    parser.add_argument("--rev", default="HEAD", help="revision of the code that the queries are taken from")
    args = parser.parse_args()
    with shared_postgres() as server, server.database(template="template1") as dsn:
        made = asyncio.run(make(args.number, args.rev, dsn))
    path = FOLDER / f"{args.number:04d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
