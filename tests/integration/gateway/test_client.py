"""The one client, in process and over HTTP, against the real door."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.client.http_transport import HttpTransport
from aspora.meta.errors import AlreadyExists, Conflict, Expired, NotFound

DIGEST = "sha256:" + "a" * 64
FACTS = {"skillMd": {"name": "s", "description": "d"}, "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1}}
SKILL = {"apiVersion": "aspora.dev/v1", "kind": "Skill", "metadata": {"name": "s", "domain": "default"}, "spec": FACTS}


@pytest.fixture(params=["process", "http"])
async def client(request: pytest.FixtureRequest, door: Any) -> AsyncGenerator[ApiClient]:
    if request.param == "process":
        made = ApiClient(AsgiTransport(door.app, api_key=door.admin_key))
    else:
        made = ApiClient(HttpTransport(door.api.base, api_key=door.admin_key))
    yield made
    await made.close()


async def test_the_whole_of_the_client(client: ApiClient, door: Any) -> None:
    start = await client.list("Skill")
    assert start.items == ()
    made = await client.create(SKILL)
    with pytest.raises(AlreadyExists):
        await client.create(SKILL)
    assert await client.get("Skill", "s", domain="default") == made
    changed = await client.update({**made, "spec": {**made["spec"], "ownerTeam": "x"}})
    with pytest.raises(Conflict):
        await client.update({**made, "spec": {**made["spec"], "ownerTeam": "y"}})
    told = await client.update({**changed, "status": {"observedGeneration": 2}}, status=True)
    assert told["status"]["observedGeneration"] == 2
    with pytest.raises(Conflict):
        await client.delete("Skill", "s", domain="default", uid="other")
    await client.delete("Skill", "s", domain="default", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get("Skill", "s", domain="default")
    seen: list[str] = []
    async with asyncio.timeout(10):
        async for event in client.watch("Skill", since=start.resource_version):
            if event.type != "BOOKMARK":
                seen.append(event.type)
            if event.type == "DELETED":
                break
    assert seen == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    async with asyncio.timeout(5):
        while door.streams.open_count:
            await asyncio.sleep(0.005)


async def test_a_watch_from_nowhere_is_expired(client: ApiClient) -> None:
    with pytest.raises(Expired):
        async for _ in client.watch("Skill", since="99999999999999999"):
            pass
