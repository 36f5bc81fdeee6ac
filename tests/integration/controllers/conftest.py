"""Controllers over the real object door."""

from collections.abc import AsyncGenerator

import pytest
from tests.integration.gateway.conftest import Door, door

from aspora.access.keys import mint_key
from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.gateway.objects.bootstrap import system_key

__all__ = ["door"]


@pytest.fixture
async def client(door: Door) -> AsyncGenerator[ApiClient]:
    key = mint_key().text
    await door.parts.bootstrap.run(shipped=[], keys=[system_key(key)])
    opened = ApiClient(AsgiTransport(door.app, api_key=key))
    yield opened
    await opened.close()


@pytest.fixture
async def admin(door: Door) -> AsyncGenerator[ApiClient]:
    opened = ApiClient(AsgiTransport(door.app, api_key=door.admin_key))
    yield opened
    await opened.close()
