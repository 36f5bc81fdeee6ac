"""The doctor on a real database: what it finds, what it says would do, and that it changes nothing."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from aspora.artifacts.store import open_artifacts
from aspora.main.doctor_database import examine_database, key_files, leftovers
from aspora.main.finding import Finding
from aspora.main.settings import Settings
from aspora.sealing.check import _PLACE, _PROBE  # pyright: ignore[reportPrivateUsage]
from aspora.sealing.cipher import new_key, seal
from aspora.testing.postgres import SharedPostgres


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    (tmp_path / "data").mkdir()
    return Settings(data_dir=tmp_path / "data", database_url=dsn)


def found(settings: Settings) -> Mapping[str, Finding]:
    return {finding.subject: finding for finding in examine_database(settings)}


def test_a_sound_installation(settings: Settings) -> None:
    findings = found(settings)
    assert list(findings) == ["Schema", "Database", "Clock", "Partitions", "Nodes", "Artifacts", "Secret key"]
    # The server of the tests runs without fsync, and the doctor says so.
    bad = {name: f.message for name, f in findings.items() if f.state != "ok"}
    assert list(bad) == ["Database"]
    assert "fsync is 'off'" in bad["Database"]
    assert "on" in findings["Database"].remedy


async def test_missing_and_damaged_artifacts_are_named(settings: Settings) -> None:
    store = open_artifacts(settings.artifacts_dir)
    sound, damaged, gone = await store.put(b"sound"), await store.put(b"damaged"), "sha256:" + "0" * 64
    digits = damaged.removeprefix("sha256:")
    (settings.artifacts_dir / "sha256" / digits[:2] / digits).write_bytes(b"other bytes")
    with psycopg.connect(settings.database_url) as connection:
        for n, digest in enumerate((sound, damaged, gone), 1):
            body = json.dumps({"metadata": {}, "spec": {"artifact": {"digest": digest}}})
            connection.execute("insert into objects values ('Skill', 'd', %s, %s, %s, %s)", [f"s{n}", f"u{n}", n, body])
    finding = (await asyncio.to_thread(found, settings))["Artifacts"]
    assert (finding.state, finding.message) == ("fail", "1 of 3 are missing, 1 damaged")
    assert finding.details == (f"missing: {gone}", f"damaged: {damaged}")
    assert "restore a backup" in finding.remedy


def test_a_missing_and_a_wrong_secret_key(settings: Settings) -> None:
    key = new_key()
    with psycopg.connect(settings.database_url) as connection:
        probe = seal(key, _PROBE, place=_PLACE)
        connection.execute("insert into secret_keys (key_id, probe) values (%s, %s)", [key.key_id, probe])
    assert f"secret key {key.key_id!r} is not at" in found(settings)["Secret key"].message
    settings.secret_key_path.write_text(new_key().text)
    assert f"sealed with {key.key_id!r}: put that one back" in found(settings)["Secret key"].message
    settings.secret_key_path.write_text(key.text)
    assert found(settings)["Secret key"].state == "ok"
    assert (key_files(settings).state, key_files(settings).remedy) == ("fail", f"chmod 600 {settings.secret_key_path}")
    settings.secret_key_path.chmod(0o600)
    assert key_files(settings).state == "ok"


def test_work_that_waits_for_nobody_and_days_that_run_out(settings: Settings) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(
            "insert into executions (id, day, domain, skill, revision, environment, class, caller, created_at,"
            " deadline) values ('E', current_date, 'd', 's', 'r', 'p', 'inline', 'c', now(), now())"
        )
        for (name,) in connection.execute(
            "select inhrelid::regclass::text from pg_inherits join pg_class on pg_class.oid = inhrelid"
            " where inhparent = 'model_calls'::regclass and relname ~ '_p'"
            " and to_date(right(relname, 8), 'YYYYMMDD') > current_date"
        ).fetchall():
            connection.execute(f"drop table {name}".encode())
    findings = found(settings)
    assert findings["Nodes"].state == "fail"
    assert "1 executions wait" in findings["Nodes"].message
    assert findings["Partitions"].message == "days ahead are missing: model_calls has 0"


def test_no_aspora_an_unknown_schema_and_no_server(settings: Settings, postgres: SharedPostgres) -> None:
    with postgres.database(template="template1") as empty:
        [only] = examine_database(Settings(data_dir=settings.data_dir, database_url=empty))
        assert "holds no Aspora yet" in only.message
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("insert into schema_migrations (number, slug, checksum) values (9999, 'later', 'x')")
    assert "'9999_later', newer than this Aspora knows" in found(settings)["Schema"].message
    gone = Settings(data_dir=settings.data_dir, database_url="postgresql://a:hidden@127.0.0.1:1/x")
    [only] = examine_database(gone)
    assert (only.state, "hidden" in only.message) == ("fail", False)
    [rests] = examine_database(Settings(data_dir=settings.data_dir))
    assert rests.message.startswith("rests")


def test_leftovers_of_killed_processes(settings: Settings) -> None:
    assert leftovers(settings).state == "ok"
    old = settings.data_dir / "postgres.new-x"
    old.mkdir()
    assert leftovers(settings).state == "ok", "it may be at work"
    os.utime(old, (1, 1))
    assert leftovers(settings).details == (str(old),)
