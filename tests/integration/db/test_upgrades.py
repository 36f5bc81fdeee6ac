"""Every schema that was ever released comes up to the newest with its rows, and its code still works there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors, sql
from tests.integration.gateway.conftest import open_door

from aspora.backup.snapshot import list_tables
from aspora.db.listen import Listener
from aspora.db.migrate import MigrationRefused, load_migrations, migrate
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.kit.clock import SystemClock
from aspora.store.interface import Key, Write
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.testing.postgres import SharedPostgres

FIXTURES = sorted((Path(__file__).parents[2] / "data" / "schema").glob("[0-9]*.json"))
_PARAMETER = re.compile(r"%\((\w+)\)s")


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def release(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(request.param.read_text("utf-8")) | {"number": int(request.param.stem)}  # type: ignore[no-any-return]


async def load(database: Database, release: dict[str, Any]) -> None:
    """The database as that release left it."""
    old = [m for m in load_migrations() if m.number <= release["number"]]
    assert {m.name: m.checksum for m in old} == release["migrations"], "a released migration was edited"
    await migrate(database, old)
    async with database.connection() as connection:
        for name, table in release["tables"].items():
            columns = sql.SQL(", ").join(sql.Identifier(column) for column, _ in table["columns"])
            place = sql.Identifier(name)
            await connection.execute(sql.SQL("truncate {}").format(place))
            command = sql.SQL("insert into {} ({}) select {} from jsonb_populate_recordset(null::{}, %s)")
            await connection.execute(command.format(place, columns, columns, place), [json.dumps(table["rows"])])


async def can_be_prepared(connection: Connection, text: str) -> str:
    """Why the server refuses a named query; "" when it takes it."""
    names = sorted(set(_PARAMETER.findall(text)))
    numbered = _PARAMETER.sub(lambda m: f"${names.index(m[1]) + 1}", text).replace("%%", "%")
    try:
        await connection.execute(b"prepare q as " + numbered.encode())
    except (errors.ProgrammingError, errors.InternalError) as e:
        return str(e).split("\n", maxsplit=1)[0]
    await connection.execute(b"deallocate q")
    return ""


async def test_rows_come_up_and_are_read_through_the_api(
    release: dict[str, Any], postgres: SharedPostgres, tmp_path: Path
) -> None:
    with postgres.database(template="template1") as dsn:
        async with await Database.open(dsn, max_size=6) as database:
            await load(database, release)
            done = await migrate(database)
            assert [m.number for m in done] == [m.number for m in load_migrations() if m.number > release["number"]]
            async with open_door(database, dsn, tmp_path) as door:
                plurals = {kind.kind: kind.plural for kind in door.parts.resources.kinds()}
                for row in release["tables"]["objects"]["rows"]:
                    place = f"/domains/{row['domain']}" if row["domain"] else ""
                    answer = await door.api.get(f"/api/v1{place}/{plurals[row['kind']]}/{row['name']}")
                    assert answer.status == 200, answer.body
                    assert answer.json()["metadata"]["uid"] == row["uid"]
            async with database.connection() as connection:
                for name, table in release["tables"].items():
                    count = sql.SQL("select count(*) as n from {}").format(sql.Identifier(name))
                    row = await (await connection.execute(count)).fetchone()
                    assert row
                    assert row["n"] >= len(table["rows"]), name


UNUSED = {"effects"}
"""Tables that no process of release 0003 wrote a row to: its journal had no caller yet."""


async def test_the_code_of_that_release_still_works_on_the_newest_schema(
    release: dict[str, Any], postgres: SharedPostgres
) -> None:
    """Additive migrations alone: no function, column or query that the release uses is gone or means another type."""
    with postgres.database(template="template1") as then, postgres.database() as now:
        async with await Database.open(then, max_size=1) as before, await Database.open(now, max_size=1) as after:
            await load(before, release)
            async with before.connection() as old, after.connection() as new:
                tried = 0
                for file, queries in release["queries"].items():
                    for name, text in queries.items():
                        if not await can_be_prepared(old, text):
                            assert await can_be_prepared(new, text) == "", f"{file}: {name}"
                            tried += 1
                assert tried > 30, "most queries must be looked at"
                for signature in release["functions"]:
                    cursor = await new.execute(b"select to_regprocedure(%s) is not null as found", [signature])
                    row = await cursor.fetchone()
                    assert row
                    assert row["found"], signature
                tables = {table.name: dict(table.columns) for table in await list_tables(new)}
                for name, table in release["tables"].items():
                    for column, type_ in table["columns"]:
                        assert tables[name].get(column) == type_, f"{name}.{column}"
                    if name in UNUSED:
                        continue
                    for column in tables[name].keys() - dict(table["columns"]).keys():
                        assert await is_optional(new, name, column), f"an old insert into {name} knows no {column}"


STARTS = {3: False, 8: True}
"""Release → whether its code may start on the newest schema. That of 0003 does not read `compatible-with` and never
starts on a newer schema; what of it runs already goes on."""


async def test_the_code_of_that_release_starts_on_the_newest_schema_when_its_migrations_say_so(
    release: dict[str, Any], postgres: SharedPostgres
) -> None:
    known = [m for m in load_migrations() if m.number <= release["number"]]
    with postgres.database() as dsn:
        async with await Database.open(dsn, max_size=1) as database:
            if STARTS[release["number"]]:
                assert await migrate(database, known) == []
            else:
                with pytest.raises(MigrationRefused, match="newer than this Aspora knows and not made for it"):
                    await migrate(database, known)


async def test_a_process_of_that_release_writes_and_reads_beside_one_of_this(
    release: dict[str, Any], postgres: SharedPostgres
) -> None:
    """Its statements and ours in turns, on one object each."""
    old = Queries(release["queries"]["store/objects.sql"], source="objects.sql")
    at = {"at": "2026-11-28T12:00:00.000Z"}
    with postgres.database() as dsn:
        async with await Database.open(dsn, max_size=3) as database, database.connection() as connection:
            store = PostgresStore(database, Listener(dsn, [CHANNEL]), SystemClock())

            async def write(op: str, name: str, **more: Any) -> dict[str, Any]:
                item = {"op": op, "kind": "K", "domain": "d", "name": name, **at, **more}
                row = await old.fetch_one(connection, "write_objects", writes=json.dumps([item]))
                assert row
                return row

            def form(n: int, *finalizers: str) -> dict[str, Any]:
                held = {"finalizers": [*finalizers]} if finalizers else {}
                return {"kind": "K", "metadata": {"name": "a", "domain": "d", **held}, "spec": {"n": n}}

            made = await write("create", "a", uid="u", object=form(0))
            assert made["outcome"] == "written"
            assert await store.get(Key("K", "d", "a")) == made["result"]
            version = made["result"]["metadata"]["resourceVersion"]
            [ours] = await store.write([Write("update", Key("K", "d", "a"), form(1), expected_version=version)])
            assert ours.object
            stale = await write("update", "a", object=form(2), expectedVersion=version)
            assert stale["outcome"] == "stale"
            # As a delete with a propagation was written before: by two writes.
            held = await write("update", "a", object=form(1, "orphan"), expectedVersion=stale["present_version"])
            marked = await write("delete", "a", expectedVersion=held["result"]["metadata"]["resourceVersion"])
            assert marked["result"]["metadata"]["finalizers"] == ["orphan"]
            assert marked["result"]["metadata"]["deletionTimestamp"] == at["at"]
            assert marked["result"]["metadata"]["generation"] == 2
            [gone] = await store.write([Write("update", Key("K", "d", "a"), form(1))])
            assert gone.is_deleted
            assert (await write("delete", "a"))["outcome"] == "missing"


async def is_optional(connection: Connection, table: str, column: str) -> bool:
    cursor = await connection.execute(
        b"select not attnotnull or atthasdef as fine from pg_attribute where attrelid = %s::regclass and attname = %s",
        [table, column],
    )
    row = await cursor.fetchone()
    return bool(row and row["fine"])
