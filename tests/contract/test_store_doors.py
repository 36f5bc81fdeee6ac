"""The store's suite through the gateway, admission and all: by a client over HTTP, and by one in the process."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict
from tests.integration.gateway.conftest import Door, open_door

from aspora.apis.kind import Kind, Scope
from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.client.http_transport import HttpTransport
from aspora.db.pool import Database
from aspora.meta.objects import ApiModel, ObjectStatus
from aspora.store.maintenance import maintain
from aspora.testing.store_suite import STORE_ALONE, ClientStore, ClientSuite, StoreSuite, StoreUnderTest
from aspora.testing.store_suite.harness import Ward


class Deep(ApiModel):
    """One more level."""

    key: Any = None


class ToySpec(ApiModel):
    """Anything, and fields that can be selected."""

    model_config = ConfigDict(extra="allow")

    role: Any = None
    n: Any = None
    on: Any = None
    deep: Deep | None = None


class ToyStatus(ObjectStatus):
    """Anything."""

    model_config = ConfigDict(extra="allow")

    conditions: Any = None


TOYS = [
    Kind(kind=kind, plural=f"{kind.lower()}s", scope=Scope.EITHER, spec=ToySpec, status=ToyStatus)
    for kind in ("Toy", "Toyx")
]


@asynccontextmanager
async def clients(door: Door) -> AsyncGenerator[tuple[ClientStore, ClientStore]]:
    """One over HTTP, one in the process."""
    over_http = ApiClient(HttpTransport(door.api.base, api_key=door.admin_key))
    in_process = ApiClient(AsgiTransport(door.app, api_key=door.admin_key))
    for name in ("d1", "d2", "d3"):
        await in_process.create({"kind": "Domain", "metadata": {"name": name}, "spec": {}})
    try:
        yield ClientStore(over_http), ClientStore(in_process)
    finally:
        await over_http.close()
        await in_process.close()


class OfToys(ClientSuite):
    """With a kind that is registered, for the API knows no other."""

    @pytest.fixture
    def ward(self, under_test: StoreUnderTest) -> Ward:
        return Ward(under_test.store, "Toy")

    @pytest.fixture
    async def door(self, database: Database, dsn: str, tmp_path: Path) -> AsyncIterator[Door]:
        async with open_door(database, dsn, tmp_path, more_kinds=TOYS, bookmark_seconds=0.1) as door:
            yield door


def forgetting(database: Database) -> Any:
    async def forget() -> None:
        await maintain(database, keep_days=-1)

    return forget


class TestOverHttp(OfToys):
    @pytest.fixture
    async def under_test(self, door: Door, database: Database) -> AsyncIterator[StoreUnderTest]:
        async with clients(door) as (over_http, in_process):
            yield StoreUnderTest(store=over_http, peer=in_process, forget=forgetting(database))


class TestInProcess(OfToys):
    # The same code reads a selector at both doors.
    test_label_selectors = None
    test_field_selectors = None

    @pytest.fixture
    async def under_test(self, door: Door, database: Database) -> AsyncIterator[StoreUnderTest]:
        async with clients(door) as (over_http, in_process):
            yield StoreUnderTest(store=in_process, peer=over_http, forget=forgetting(database))


def test_every_test_of_the_store_alone_is_one_of_the_suite() -> None:
    assert all(callable(getattr(StoreSuite, name, None)) for name in STORE_ALONE)
    assert all(getattr(ClientSuite, name) is None for name in STORE_ALONE)
