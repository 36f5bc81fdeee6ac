"""Backup and restore on a real PostgreSQL: whole, consistent while others write, and never a half one."""

import asyncio
import itertools
import json
import os
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aspora.artifacts.store import open_artifacts
from aspora.backup.archive import Contents, members_of, read_contents
from aspora.backup.interface import BackupDamaged
from aspora.backup.loading import Destination, Restored, restore_backup
from aspora.backup.snapshot import Made, Sources, write_backup
from aspora.db.listen import Listener
from aspora.db.migrate import MigrationRefused, load_migrations, migrate
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.main.backups import AFTER_LOAD, LIST_DIGESTS, open_for_operator
from aspora.meta.errors import Conflict, Expired, Unavailable
from aspora.meta.names import NodeId
from aspora.records.executions import Executions
from aspora.records.ids import day_of, execution_id
from aspora.records.nodes import NodeFacts, Nodes
from aspora.records.rows import NewExecution
from aspora.store.interface import Key, Write
from aspora.store.payload import payload
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.testing.postgres import SharedPostgres

_numbers = itertools.count(1)


class Parts:
    """Counts what was told."""

    def __init__(self) -> None:
        self.total, self.told = 0, list[str]()

    def step(self, label: str) -> None:
        self.told.append(label)


@pytest.fixture
def empty(postgres: SharedPostgres) -> Generator[str]:
    with postgres.database(template="template1") as url:
        yield url


async def back_up(dsn: str, path: Path, folder: Path, **more: Any) -> Made:
    parts = Parts()
    sources = Sources(
        artifacts=open_artifacts(folder),
        list_digests=LIST_DIGESTS,
        key_id=more.get("key_id", ""),
        secret_key=more.get("secret_key"),
        aspora="0.1.0",
    )
    async with await open_for_operator(dsn) as database:
        made = await write_backup(path, database, sources, tell=parts.step, plan=parts)
    assert len(parts.told) == parts.total
    return made


async def put_back(dsn: str, path: Path, folder: Path, **more: Any) -> Restored:
    destination = Destination(
        migrations=more.pop("migrations", load_migrations()),
        artifacts=open_artifacts(folder),
        after_load=AFTER_LOAD,
        foreign_schemas=("dbos",),
        **more,
    )
    async with await open_for_operator(dsn) as database:
        return await restore_backup(path, read_contents(path), database, destination, tell=lambda _: None)


@asynccontextmanager
async def store_on(dsn: str) -> AsyncGenerator[PostgresStore]:
    stop = asyncio.Event()
    async with await Database.open(dsn, max_size=4) as database:
        listener = Listener(dsn, [CHANNEL])
        store = PostgresStore(database, listener, SystemClock())
        async with asyncio.TaskGroup() as loops:
            loops.create_task(listener.run(stop))
            loops.create_task(store.run(stop))
            try:
                yield store
            finally:
                stop.set()


def skill(name: str, digest: str = "", **spec: Any) -> Write:
    body = {"spec": {**({"artifact": {"digest": digest}} if digest else {}), **spec}, "metadata": {}}
    return Write("create", Key("Skill", "test", name), body)


async def rows_of(dsn: str, table: str, order: str) -> list[dict[str, Any]]:
    async with await Database.open(dsn, max_size=1) as database, database.connection() as connection:
        cursor = await connection.execute(f"select * from {table} order by {order}".encode())
        return await cursor.fetchall()


async def new_running(dsn: str, *, effect: str = "", claimed: bool = True) -> str:
    """An execution as it is in the middle of its work."""
    now = datetime.now(UTC)
    new = NewExecution(
        id=execution_id(now, entropy=next(_numbers)),
        domain="test",
        skill="echo",
        revision="echo-1",
        environment="production",
        execution_class="inline",
        input={"b": 1, "a": "ü\n\t\\ "},
        input_ref=None,
        caller="tester",
        trigger={"type": "api"},
        created_at=now,
        deadline=now + timedelta(minutes=5),
        stages={},
    )
    async with await Database.open(dsn, max_size=2) as database:
        async with database.connection() as connection:
            await Executions(database).insert(connection, new)
        owner = await Nodes(database).register(
            NodeFacts(id=NodeId(f"n{next(_numbers)}"), role="executor", host="h", pid=1, version="0"), ttl_seconds=60
        )
        if claimed:
            [claim] = await Executions(database).claim_inline(owner, limit=1)
            assert claim.id == new.id
        if effect:
            async with database.connection() as connection:
                await connection.execute(
                    b"insert into effects (execution_id, day, connector, operation, arguments_digest, occurrence,"
                    b" state, idempotent, attempt, owner_epoch)"
                    b" values (%s, %s, 'crm', 'post', 'd', 0, 'intent', %s, 1, 1)",
                    [new.id, day_of(new.id), effect == "idempotent"],
                )
    return str(new.id)


async def test_all_comes_back_as_it_was_and_artifacts_with_it(dsn: str, empty: str, tmp_path: Path) -> None:
    digest = await open_artifacts(tmp_path / "a").put(b"the bytes of a skill")
    await open_artifacts(tmp_path / "a").put(b"nobody refers to this one")
    async with store_on(dsn) as store:
        for result in await store.write([skill("one", digest, text='ü\n\\N\t"x"'), skill("two"), skill("three")]):
            assert result.error is None
        await store.write([Write("delete", Key("Skill", "test", "three"))])
    before = await rows_of(dsn, "objects", "kind, domain, name")
    events = await rows_of(dsn, "object_events", "resource_version")
    made = await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    assert (made.artifacts, made.missing) == (1, ())
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    done = await put_back(empty, tmp_path / "b.tar", tmp_path / "other")
    assert (done.skipped, done.migrated) == ((), ())
    assert await rows_of(empty, "objects", "kind, domain, name") == before
    assert await rows_of(empty, "object_events", "resource_version") == events
    assert await open_artifacts(tmp_path / "other").get(digest) == b"the bytes of a skill"
    parts = await rows_of(empty, "pg_inherits", "inhparent, inhseqno")
    assert len(parts) == len(await rows_of(dsn, "pg_inherits", "inhparent, inhseqno"))


async def test_versions_are_never_given_out_again_and_watchers_begin_anew(dsn: str, empty: str, tmp_path: Path) -> None:
    async with store_on(dsn) as store:
        await store.write([skill("one")])
        await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
        lost = [r.object["metadata"]["resourceVersion"] for r in await store.write([skill("two")]) if r.object]
    for target in (empty, dsn):
        await put_back(target, tmp_path / "b.tar", tmp_path / "a", replaces=True)
        async with store_on(target) as store:
            with pytest.raises(Expired):
                await anext(aiter(store.watch("Skill", since=lost[0])))
            [new] = await store.write([skill("four")])
            assert new.object
            assert int(new.object["metadata"]["resourceVersion"]) > int(lost[0])
            assert [o["metadata"]["name"] for o in (await store.list("Skill")).items] == ["four", "one"]


async def test_what_ran_has_ended_and_what_is_in_doubt_stays_so(dsn: str, empty: str, tmp_path: Path) -> None:
    running, doubtful = await new_running(dsn), await new_running(dsn, effect="write")
    repeatable, waiting = await new_running(dsn, effect="idempotent"), await new_running(dsn, claimed=False)
    await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    done = await put_back(empty, tmp_path / "b.tar", tmp_path / "a")
    assert "4 executions were not finished" in " ".join(done.remarks)
    ended = {r["id"]: (r["state"], r["reason"], r["input"]) for r in await rows_of(empty, "executions", "id")}
    given = {"b": 1, "a": "ü\n\t\\ "}
    assert ended == {
        running: ("Failed", "Restored", given),
        repeatable: ("Failed", "Restored", given),
        waiting: ("Failed", "Restored", given),
        doubtful: ("Failed", "EffectInDoubt", given),
    }
    assert {r["state"] for r in await rows_of(empty, "effects", "execution_id")} == {"in_doubt"}
    assert all(node["stopped_at"] is not None for node in await rows_of(empty, "nodes", "id"))
    events = await rows_of(empty, "execution_events", "execution_id, xid, id")
    last = [e for e in events if e["execution_id"] == doubtful][-1]
    assert (last["type"], last["data"]["reason"]) == ("Finished", "EffectInDoubt")


async def test_one_snapshot_while_others_write(dsn: str, empty: str, tmp_path: Path) -> None:
    """Each writer counts up in two objects at once: no backup may see one half of a transaction."""
    stop = asyncio.Event()
    written = 0

    async def count(store: PostgresStore, name: str) -> None:
        nonlocal written
        await store.write([skill(f"{name}-a", n=0, pad="x" * 2000), skill(f"{name}-b", n=0)])
        for n in itertools.count(1):
            if stop.is_set():
                return
            both = [
                Write("update", Key("Skill", "test", f"{name}-{half}"), {"metadata": {}, "spec": {"n": n}})
                for half in ("a", "b")
            ]
            assert [r.error for r in await store.write(both)] == [None, None]
            written += 1

    async with store_on(dsn) as store, asyncio.TaskGroup() as group:
        for i in range(4):
            group.create_task(count(store, f"w{i}"))
        while written < 40:
            await asyncio.sleep(0.01)
        began = written
        for i in range(3):
            await back_up(dsn, tmp_path / f"b{i}.tar", tmp_path / "a")
        assert written > began, "writers stood still"
        stop.set()
    for i in range(3):
        await put_back(empty, tmp_path / f"b{i}.tar", tmp_path / "a", replaces=True)
        async with store_on(empty) as restored:
            found = {o["metadata"]["name"]: o for o in (await restored.list("Skill")).items}
        assert len(found) == 8
        for j in range(4):
            assert found[f"w{j}-a"]["spec"]["n"] == found[f"w{j}-b"]["spec"]["n"]
        newest = max(int(o["metadata"]["resourceVersion"]) for o in found.values())
        [last] = [r["v"] for r in await rows_of(empty, "(select max(resource_version) as v from object_events) x", "v")]
        assert last == newest, "the log and the objects are of one instant"


async def test_a_used_installation_is_not_replaced_unless_asked(dsn: str, tmp_path: Path) -> None:
    async with store_on(dsn) as store:
        await store.write([skill("one")])
    await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    async with store_on(dsn) as store:
        await store.write([skill("two")])
        with pytest.raises(Conflict, match="connections of a running Aspora"):
            await put_back(dsn, tmp_path / "b.tar", tmp_path / "a", replaces=True)
    with pytest.raises(Conflict, match=r"is not empty; .*--force"):
        await put_back(dsn, tmp_path / "b.tar", tmp_path / "a")
    assert len(await rows_of(dsn, "objects", "name")) == 2
    await put_back(dsn, tmp_path / "b.tar", tmp_path / "a", replaces=True)
    assert [r["name"] for r in await rows_of(dsn, "objects", "name")] == ["one"]


async def test_a_stranger_s_table_is_kept_and_left_out(dsn: str, empty: str, tmp_path: Path) -> None:
    for url in (dsn, empty):
        async with await Database.open(url, max_size=1) as database, database.connection() as connection:
            await connection.execute(b"create table somebody_else (note text)")
            await connection.execute(b"insert into somebody_else values ('mine')")
    await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    done = await put_back(empty, tmp_path / "b.tar", tmp_path / "a")
    assert done.skipped == ("somebody_else",)
    assert await rows_of(empty, "somebody_else", "note") == [{"note": "mine"}]


async def test_an_older_schema_is_restored_and_brought_up(empty: str, dsn: str, tmp_path: Path) -> None:
    old = [m for m in load_migrations() if m.number <= 3]
    async with await Database.open(empty, max_size=1) as database:
        await migrate(database, old)
    async with await Database.open(empty, max_size=1) as database, database.connection() as connection:
        # As the code of that schema wrote.
        item = payload(skill("one"), uid=str(uuid.uuid4()), at="2026-01-01T00:00:00.000Z")
        await connection.execute(b"select aspora_write_objects(%s::jsonb)", [json.dumps([item])])
    await back_up(empty, tmp_path / "b.tar", tmp_path / "a")
    assert max(n for n, _, _ in read_contents(tmp_path / "b.tar").head.migrations) == 3
    done = await put_back(dsn, tmp_path / "b.tar", tmp_path / "a", replaces=True)
    assert "0007_installation" in done.migrated
    assert [r["name"] for r in await rows_of(dsn, "objects", "name")] == ["one"]


async def test_a_newer_or_foreign_schema_is_refused(dsn: str, empty: str, tmp_path: Path) -> None:
    await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    own = load_migrations()
    with pytest.raises(MigrationRefused, match="newer than this Aspora knows; upgrade Aspora"):
        await put_back(empty, tmp_path / "b.tar", tmp_path / "a", migrations=own[:-1])
    with pytest.raises(MigrationRefused, match="is not the one of this Aspora"):
        await put_back(empty, tmp_path / "b.tar", tmp_path / "a", migrations=[replace(own[0], checksum="0"), *own[1:]])
    assert await rows_of(empty, "pg_tables where schemaname = 'public'", "tablename") == []


async def test_a_missing_artifact_is_told_and_the_rest_is_kept(dsn: str, tmp_path: Path) -> None:
    there = await open_artifacts(tmp_path / "a").put(b"there")
    gone = "sha256:" + "0" * 64
    async with store_on(dsn) as store:
        await store.write([skill("one", there), skill("two", gone)])
    made = await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    assert (made.artifacts, made.missing) == (1, (gone,))
    assert read_contents(tmp_path / "b.tar").missing == (gone,)


@pytest.fixture
async def whole(dsn: str, tmp_path: Path) -> tuple[Path, Contents]:
    digest = await open_artifacts(tmp_path / "a").put(os.urandom(3000))
    async with store_on(dsn) as store:
        await store.write([skill("one", digest)])
    await back_up(dsn, tmp_path / "b.tar", tmp_path / "a")
    return tmp_path / "b.tar", read_contents(tmp_path / "b.tar")


async def test_any_flipped_byte_of_a_member_and_any_cut_is_found(whole: tuple[Path, Contents], tmp_path: Path) -> None:
    path, _ = whole
    data = path.read_bytes()
    bad = tmp_path / "bad.tar"
    place, found = 0, 0
    for name, member in members_of(path):
        at = data.index(member, place) if member else place
        place = at + len(member)
        if name == "manifest.json" or not member:
            continue
        flipped = bytearray(data)
        flipped[at + len(member) // 2] ^= 1
        bad.write_bytes(flipped)
        with pytest.raises(BackupDamaged):
            read_contents(bad)
        found += 1
    assert found > 5
    whole_until = data.rindex(b"}") + 1
    for cut in (0, 1, 511, 512, 5000, len(data) // 2, whole_until - 1):
        bad.write_bytes(data[:cut])
        with pytest.raises(BackupDamaged):
            read_contents(bad)


async def test_a_restore_that_fails_leaves_everything_as_it_was(
    whole: tuple[Path, Contents], dsn: str, tmp_path: Path
) -> None:
    path, contents = whole
    async with store_on(dsn) as store:
        await store.write([skill("later")])
    changed = tmp_path / "changed.tar"
    data = path.read_bytes()
    [name] = [n for n in contents.digests if n.startswith("artifacts/")]
    body = dict(members_of(path))[name]
    changed.write_bytes(data.replace(body, body[:-1] + b"!"))
    destination = Destination(
        migrations=load_migrations(), artifacts=open_artifacts(tmp_path / "o"), after_load=AFTER_LOAD, replaces=True
    )
    async with await open_for_operator(dsn) as database:
        with pytest.raises(BackupDamaged, match="changed while it was read"):
            await restore_backup(changed, contents, database, destination, tell=lambda _: None)
    assert [r["name"] for r in await rows_of(dsn, "objects", "name")] == ["later", "one"]


async def test_nothing_is_left_of_a_backup_that_could_not_be_written(dsn: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    with pytest.raises(Unavailable, match="no backup can be made"):
        await back_up(dsn, tmp_path / "nowhere" / "b.tar", tmp_path / "a")
    (place / "b.tar").write_text("the former one")
    async with await Database.open(dsn, max_size=1) as database, database.connection() as connection:
        # A table that its own role can't read to the end: the copy fails in the middle.
        await connection.execute(b"create table broken (n integer)")
        await connection.execute(b"insert into broken values (0)")
        await connection.execute(b"alter table broken enable row level security, force row level security")
        await connection.execute(b"create policy p on broken using (1 / n = 1)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await back_up(dsn, place / "b.tar", tmp_path / "a")
    assert os.listdir(place) == ["b.tar"]
    assert (place / "b.tar").read_text() == "the former one"
