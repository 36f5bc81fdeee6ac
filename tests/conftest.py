"""Fixtures for every test that needs a real PostgreSQL."""

import signal
from collections.abc import AsyncGenerator, Generator

import pytest
from hypothesis import HealthCheck, settings

from aspora.db.pool import Database
from aspora.testing.postgres import SharedPostgres, shared_postgres

# A shell that runs the tests in the background has them ignore Ctrl-C, which every process that they start inherits.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes long says that the machine is busy, nothing of the code.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ORDER = ("tests/e2e/", "tests/integration/executor/", "tests/integration/", "tests/contract/", "skills/", "tests/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long go first: what is left for the end is short, and no worker waits for another."""
    items.sort(key=lambda item: next(n for n, folder in enumerate(ORDER) if item.nodeid.startswith(folder)))


@pytest.fixture(scope="session")
def postgres() -> Generator[SharedPostgres]:
    """The server that all test processes share."""
    with shared_postgres() as server:
        yield server


@pytest.fixture
def dsn(postgres: SharedPostgres) -> Generator[str]:
    """The URL of a fresh, migrated database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
async def database(dsn: str) -> AsyncGenerator[Database]:
    """An open pool on a fresh, migrated database."""
    async with await Database.open(dsn, max_size=8) as opened:
        yield opened
