"""A process of its own joins: with a key of its own, at a gateway of the same database, or it says why not."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway.conftest import open_door

from aspora.artifacts import open_artifacts
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.main import controllers_process, executor_process, process_key
from aspora.main.database_clock import DatabaseClock
from aspora.main.process_key import LIFETIME, ProcessKey
from aspora.main.settings import Settings
from aspora.meta.errors import Conflict, Invalid, StatusError
from aspora.testing.postgres import SharedPostgres

OFF = timedelta(hours=7)
SERVES = {"controllers": controllers_process.serve, "executor": executor_process.serve}


class SlowHost(SystemClock):
    """A host whose wall clock is far behind."""

    def now(self) -> datetime:
        return datetime.now(UTC) - OFF


async def keys_left(database: Database) -> list[Any]:
    async with database.connection() as connection:
        found = await connection.execute(
            b"select object from objects where kind = 'ApiKey'"
            b" and object->'metadata'->'labels' ? 'aspora.dev/start-place'"
        )
        return [row["object"] for row in await found.fetchall()]


def settings_of(dsn: str, folder: Path, **more: Any) -> Settings:
    return Settings(data_dir=folder, database_url=dsn, **more)


def never(what: str) -> None:
    raise AssertionError(f"{what} must not become ready")


async def refused(role: str, settings: Settings, url: str) -> StatusError:
    with pytest.raises(StatusError) as error:
        async with asyncio.timeout(60):
            await SERVES[role](settings, {"gateway_url": url}, asyncio.Event(), never)
    return error.value


@pytest.mark.parametrize("role", SERVES)
async def test_a_metrics_port_that_is_taken_is_told_before_anything_begins(
    role: str, dsn: str, database: Database, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = await refused(role, settings_of(dsn, tmp_path, metrics_port=port), "http://127.0.0.1:1")
    assert isinstance(error, Conflict)
    assert str(error).startswith(
        f"port {port} on 127.0.0.1 is taken by another program; choose one with --metrics-port"
    )
    assert await keys_left(database) == []


@pytest.mark.parametrize("role", SERVES)
async def test_a_start_that_fails_after_the_key_was_made_leaves_none_behind(
    role: str, dsn: str, database: Database, tmp_path: Path
) -> None:
    settings = settings_of(dsn, tmp_path, ca_file=str(tmp_path / "missing.pem"))
    error = await refused(role, settings, "https://127.0.0.1:1")
    assert isinstance(error, Invalid)
    assert "ASPORA_CA_FILE" in str(error)
    assert await keys_left(database) == []


async def test_a_gateway_of_another_database_is_told(
    dsn: str, database: Database, postgres: SharedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_key, "STRANGE_SECONDS", 0.5)
    with postgres.database() as elsewhere:
        async with await Database.open(elsewhere, max_size=4) as others, open_door(database, dsn, tmp_path) as door:
            error = await refused("controllers", settings_of(elsewhere, tmp_path), door.api.base)
            name = elsewhere.rpartition("/")[2].partition("?")[0]
            assert isinstance(error, Conflict)
            assert f"gateway at '{door.api.base}' refuses the key" in str(error)
            assert name in str(error)
            assert "ASPORA_URL and ASPORA_DATABASE_URL" in str(error)
            assert await keys_left(others) == []


async def test_a_host_whose_clock_is_hours_slow_gets_a_key_that_is_good(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    clock = await DatabaseClock.open(database, SlowHost())
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    artifacts = open_artifacts(tmp_path / "artifacts")
    async with open_door(database, dsn, tmp_path) as door:
        key = ProcessKey(database, dsn, artifacts, clock, roles=("system-controller",), place="slow-1")
        async with key.held():
            [made] = await keys_left(database)
            expires_at = datetime.fromisoformat(made["spec"]["expiresAt"])
            assert abs(expires_at - datetime.now(UTC) - LIFETIME) < timedelta(minutes=1)
            async with asyncio.timeout(30):  # till the gateway's view has it
                while (await door.api.with_key(key.text).get("/api/v1/domains/default")).status != 200:
                    await asyncio.sleep(0.02)
    assert await keys_left(database) == []
