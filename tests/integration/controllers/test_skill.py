"""The skill controller over the real object door: revisions, routes, rollback, crashes, clean-up."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from tests.integration.gateway.conftest import PACKED, Door, door

from aspora.access.keys import mint_key
from aspora.client.api_client import ApiClient
from aspora.client.asgi_transport import AsgiTransport
from aspora.client.interface import Wire
from aspora.controllers.skill import SKILL_LABEL, SkillReconciler, build
from aspora.gateway.objects.bootstrap import system_key
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Conflict, Invalid, NotFound, StatusError, Unavailable
from aspora.reconcile.interface import Request

__all__ = ["door"]

TOY = Request("default", "toy")


def skill(content: str, **spec: Any) -> dict[str, Any]:
    digest = PACKED[content].digest
    return {
        "kind": "Skill",
        "metadata": {"name": "toy", "domain": "default"},
        "spec": {
            "skillMd": {"name": "toy", "description": "a toy"},
            "artifact": {"digest": digest, "sizeBytes": 1, "fileCount": 1},
            **spec,
        },
    }


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


async def put(admin: ApiClient, wanted: dict[str, Any]) -> Wire:
    try:
        found = await admin.get("Skill", "toy", domain="default")
    except NotFound:
        return await admin.create(wanted)
    return await admin.update({**found, "spec": wanted["spec"]})


async def traffic(client: ApiClient) -> list[dict[str, Any]]:
    route = await client.get("Route", "toy.production", domain="default")
    return list(route["spec"]["traffic"])


async def snapshot(client: ApiClient) -> dict[str, str]:
    """Name → version of everything that belongs to the toy."""
    found: dict[str, str] = {}
    for kind in ("Skill", "Revision", "Route"):
        for obj in (await client.list(kind, domain="default")).items:
            found[f"{kind}/{obj['metadata']['name']}"] = obj["metadata"]["resourceVersion"]
    return found


async def test_a_skill_gets_a_revision_and_production_points_at_it(client: ApiClient, admin: ApiClient) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    made = await client.get("Skill", "toy", domain="default")
    revision = made["status"]["latestRevision"]
    assert made["status"]["observedGeneration"] == 1
    assert [c["type"] for c in made["status"]["conditions"]] == ["Ready"]
    assert await traffic(client) == [{"revision": revision, "shareBp": 10_000}]
    stored = await client.get("Revision", revision, domain="default")
    assert stored["metadata"]["labels"] == {SKILL_LABEL: "toy"}
    assert stored["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert stored["spec"]["skillSpec"] == made["spec"]
    assert made["status"]["latestVersion"] == stored["spec"]["version"]


async def test_three_runs_write_once(client: ApiClient, admin: ApiClient) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    before = await snapshot(client)
    for _ in range(3):
        await reconciler.reconcile(TOY)
    assert await snapshot(client) == before


async def test_production_points_only_at_revisions_that_are_there_and_these_stay(
    client: ApiClient, admin: ApiClient
) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    serving = (await traffic(client))[0]["revision"]
    route = await admin.get("Route", "toy.production", domain="default")
    for absent in ("toy-0000000000", "../x"):
        nowhere = [{"revision": absent, "shareBp": 10_000}]
        with pytest.raises(Invalid, match=serving):
            await admin.update({**route, "spec": {**route["spec"], "traffic": nowhere}})
    with pytest.raises(Conflict, match=r"toy\.production"):
        await admin.delete("Revision", serving, domain="default")
    staging = {"metadata": {"name": "toy.staging", "domain": "default"}, "kind": "Route"}
    spec = {"skill": "toy", "environment": "staging", "traffic": await traffic(client)}
    await admin.create({**staging, "spec": spec})
    await admin.delete("Skill", "toy", domain="default")
    await reconciler.reconcile(TOY)
    assert not (await client.list("Revision", domain="default")).items


async def test_a_rollback_stays_until_the_skill_changes(client: ApiClient, admin: ApiClient) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    first = (await traffic(client))[0]["revision"]
    await put(admin, skill("b"))
    await reconciler.reconcile(TOY)
    second = (await traffic(client))[0]["revision"]
    assert second != first
    route = await admin.get("Route", "toy.production", domain="default")
    back = [{"revision": first, "shareBp": 10_000}]
    await admin.update({**route, "spec": {**route["spec"], "traffic": back}})
    await reconciler.reconcile(TOY)
    assert await traffic(client) == back
    ready = (await client.get("Skill", "toy", domain="default"))["status"]["conditions"][0]
    assert (ready["status"], ready["reason"]) == ("True", "ServesOtherRevisions")
    assert first in ready["message"]
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    await put(admin, skill("b"))
    await reconciler.reconcile(TOY)
    assert (await traffic(client))[0]["revision"] == second


async def test_a_skill_that_is_made_anew_deploys_though_its_generations_begin_again(
    client: ApiClient, admin: ApiClient
) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    for content in "ab":
        await put(admin, skill(content))
        await reconciler.reconcile(TOY)
    await admin.delete("Skill", "toy", domain="default")
    await put(admin, skill("c"))
    await reconciler.reconcile(TOY)
    made = await client.get("Skill", "toy", domain="default")
    assert await traffic(client) == [{"revision": made["status"]["latestRevision"], "shareBp": 10_000}]


async def test_a_note_on_the_route_that_nobody_can_read_counts_as_not_followed(
    client: ApiClient, admin: ApiClient
) -> None:
    made = await put(admin, skill("a"))
    await SkillReconciler(client, SystemClock()).reconcile(TOY)
    route = await admin.get("Route", "toy.production", domain="default")
    notes = {"aspora.dev/follows": f"{made['metadata']['uid']}/soon"}
    await admin.update({**route, "metadata": {**route["metadata"], "annotations": notes}})
    await SkillReconciler(client, SystemClock()).reconcile(TOY)
    followed = (await client.get("Route", "toy.production", domain="default"))["metadata"]["annotations"]
    assert followed["aspora.dev/follows"].endswith("/1")


async def test_what_a_deleted_skill_left_behind_goes(client: ApiClient, admin: ApiClient) -> None:
    reconciler = SkillReconciler(client, SystemClock())
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    await admin.delete("Skill", "toy", domain="default")
    await reconciler.reconcile(TOY)
    await reconciler.reconcile(TOY)
    assert await snapshot(client) == {}


class Crashing:
    """A client that breaks at the n-th call, as a killed process would."""

    def __init__(self, client: ApiClient, *, at: int) -> None:
        self._client = client
        self._left = at

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise Unavailable("crashed here")
            return await method(*args, **kwargs)

        return call


@pytest.mark.parametrize("at", range(8))
async def test_a_crash_between_any_two_calls_heals(client: ApiClient, admin: ApiClient, at: int) -> None:
    await put(admin, skill("a"))
    crashing: Any = Crashing(client, at=at)
    with contextlib.suppress(StatusError):
        await SkillReconciler(crashing, SystemClock()).reconcile(TOY)
    await SkillReconciler(client, SystemClock()).reconcile(TOY)
    made = await client.get("Skill", "toy", domain="default")
    assert made["status"]["observedGeneration"] == 1
    assert await traffic(client) == [{"revision": made["status"]["latestRevision"], "shareBp": 10_000}]
    assert len((await client.list("Revision", domain="default")).items) == 1


async def test_the_running_controller_follows_the_objects_and_writes_nothing_when_idle(
    client: ApiClient, admin: ApiClient
) -> None:
    controller = build(client, SystemClock())
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in (controller, *controller.informers)]

    async def deployed(content: str) -> str:
        await put(admin, skill(content))
        async with asyncio.timeout(10):
            while True:
                made = await client.get("Skill", "toy", domain="default")
                if (made.get("status") or {}).get("observedGeneration") == made["metadata"]["generation"]:
                    return str(made["status"]["latestRevision"])
                await asyncio.sleep(0.01)

    try:
        first, second = await deployed("a"), await deployed("b")
        assert first != second
        assert (await traffic(client))[0]["revision"] == second
        await client.delete("Route", "toy.production", domain="default")
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await traffic(client))[0]["revision"] == second
                    break
                except NotFound:
                    await asyncio.sleep(0.01)
        before = await snapshot(client)
        await asyncio.sleep(0.5)
        assert await snapshot(client) == before
        await admin.delete("Skill", "toy", domain="default")
        async with asyncio.timeout(10):
            while await snapshot(client):
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_same_version_with_other_content_is_refused_with_the_way_out(
    client: ApiClient, admin: ApiClient
) -> None:
    versioned: dict[str, Any] = {"version": "1.0.0", "versioning": {"strategy": "semver"}}
    await put(admin, skill("a", **versioned))
    await SkillReconciler(client, SystemClock()).reconcile(TOY)
    with pytest.raises(StatusError, match=r"1\.0\.0") as caught:
        await put(admin, skill("b", **versioned))
    assert "timestamp" in str(caught.value)
