"""The client through the whole gateway: in process as controllers use it, and over HTTP as executors do."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.client.http_transport import HttpTransport
from aspora.client.interface import Client
from aspora.meta.errors import AlreadyExists, Conflict, Expired, Invalid, NotFound, Unauthorized
from aspora.reconcile.informer import Informer

from .conftest import Door


def domain(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "aspora.dev/v1", "kind": "Domain", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(params=["in process", "over http"])
async def client(request: pytest.FixtureRequest, door: Door) -> AsyncGenerator[Client]:
    in_process = request.param == "in process"
    transport = (
        AsgiTransport(door.app, api_key=door.admin_key)
        if in_process
        else HttpTransport(door.api.base, api_key=door.admin_key)
    )
    made = ApiClient(transport)
    yield made
    await made.close()


async def test_objects_live_and_die(client: Client) -> None:
    made = await client.create(domain("team"))
    assert (await client.get("Domain", "team")) == made
    with pytest.raises(AlreadyExists):
        await client.create(domain("team"))
    labelled = await client.update({**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await client.update({**made, "metadata": {**made["metadata"], "labels": {"a": "c"}}})
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Made",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00.000Z",
    }
    ready = await client.update({**labelled, "status": {"conditions": [condition]}}, status=True)
    assert (ready["metadata"]["generation"], ready["status"]["conditions"][0]["type"]) == (1, "Ready")
    page = await client.list("Domain", labels="a=b", fields="metadata.name=team")
    assert page.items == (ready,)
    with pytest.raises(Conflict):
        await client.delete("Domain", "team", uid="another")
    await client.delete("Domain", "team", uid=ready["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get("Domain", "team")


async def test_a_dry_run_leaves_nothing_and_errors_keep_their_fields(client: Client) -> None:
    await client.create(domain("team"), dry_run=True)
    with pytest.raises(NotFound):
        await client.get("Domain", "team")
    with pytest.raises(Invalid) as caught:
        await client.create(domain("team", nonsense=1))
    assert [detail.field for detail in caught.value.details] == ["spec.nonsense"]


async def test_pages(client: Client) -> None:
    for n in range(5):
        await client.create(domain(f"d{n}", description="x"))
    seen: list[str] = []
    token = None
    while True:
        page = await client.list("Domain", limit=2, continue_token=token)
        seen += [obj["metadata"]["name"] for obj in page.items]
        token = page.continue_token
        if token is None:
            break
    assert [name for name in seen if name.startswith("d") and len(name) == 2] == [f"d{n}" for n in range(5)]


async def test_watch_from_a_list_on(client: Client) -> None:
    since = (await client.list("Domain")).resource_version
    events = client.watch("Domain", since=since)
    waiting = asyncio.create_task(anext(events))
    made = await client.create(domain("team"))
    async with asyncio.timeout(30):
        event = await waiting
        assert (event.type, event.object) == ("ADDED", made)
        await client.delete("Domain", "team")
        assert (await anext(events)).type == "DELETED"
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_version_from_nowhere_is_expired(client: Client) -> None:
    with pytest.raises(Expired):
        await anext(client.watch("Domain", since="9" * 17))


async def test_a_key_that_is_none_is_unauthorized(door: Door) -> None:
    client = ApiClient(AsgiTransport(door.app, api_key="aspora_no_no"))
    with pytest.raises(Unauthorized):
        await client.get("Domain", "team")


async def test_an_informer_follows_the_gateway(client: Client) -> None:
    stop, heard = asyncio.Event(), asyncio.Queue[str]()
    informer = Informer(client, "Domain")
    informer.listen(lambda name, _: heard.put_nowait(name.name))
    running = asyncio.create_task(informer.run(stop))
    async with asyncio.timeout(30):
        await informer.synced.wait()
        await client.create(domain("team"))
        while await heard.get() != "team":
            pass
    assert informer.get("team") is not None
    stop.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
