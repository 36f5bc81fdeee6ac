"""The skill controller over the real object door: revisions, routes, rollback, crashes, clean-up."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway.conftest import PACKED

from aspora.client.api_client import ApiClient
from aspora.client.interface import Wire
from aspora.controllers.garbage import build as build_garbage
from aspora.controllers.interface import ControllerParts
from aspora.controllers.skill import SKILL_LABEL, SkillReconciler, build
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Conflict, Invalid, NotFound, StatusError
from aspora.reconcile.informers import Informers
from aspora.reconcile.interface import Request

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


async def test_a_skill_whose_revision_is_refused_says_why_in_its_status(
    client: ApiClient, admin: ApiClient, tmp_path: Path
) -> None:
    await put(admin, skill("a"))
    digits = PACKED["a"].digest.removeprefix("sha256:")
    (tmp_path / "artifacts/sha256" / digits[:2] / digits).unlink()
    reconciler = SkillReconciler(client, SystemClock())
    for _ in range(2):
        with pytest.raises(Invalid):
            await reconciler.reconcile(TOY)
    (ready,) = (await client.get("Skill", "toy", domain="default"))["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "RevisionRefused")
    assert "has been uploaded; PUT it first" in ready["message"]


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
    await admin.delete("Revision", serving, domain="default")


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
    assert (ready["status"], ready["reason"]) == ("True", "RolledBack")
    assert first in ready["message"]
    await put(admin, skill("a"))
    await reconciler.reconcile(TOY)
    await put(admin, skill("b"))
    await reconciler.reconcile(TOY)
    assert (await traffic(client))[0]["revision"] == second


class Told:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def record(self, _obj: Wire, reason: str, message: str, *, type_: str = "Normal") -> None:
        self.events.append((reason, message))


async def test_each_move_of_production_is_told_once_whoever_moved_it(client: ApiClient, admin: ApiClient) -> None:
    told = Told()
    reconciler = SkillReconciler(client, SystemClock(), told)
    moves: list[str] = []
    for content in "ab":
        await put(admin, skill(content))
        await reconciler.reconcile(TOY)
        moves.append((await traffic(client))[0]["revision"])
    route = await admin.get("Route", "toy.production", domain="default")
    back = [{"revision": moves[0], "shareBp": 10_000}]
    await admin.update({**route, "spec": {**route["spec"], "traffic": back}})
    for _ in range(2):
        await reconciler.reconcile(TOY)
    assert [message for reason, message in told.events if reason == "RouteMoved"] == [
        f"production serves {revision} 100 %" for revision in (*moves, moves[0])
    ]


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


async def test_the_running_controller_follows_the_objects_and_writes_nothing_when_idle(
    client: ApiClient, admin: ApiClient
) -> None:
    informers = Informers(client)
    parts = ControllerParts(client, client, informers, SystemClock())
    controllers = [build(parts), build_garbage(parts)]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(part.run(stop)) for part in (*controllers, informers)]

    async def deployed(content: str) -> str:
        await put(admin, skill(content))
        async with asyncio.timeout(30):
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
        async with asyncio.timeout(30):
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
        async with asyncio.timeout(30):
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
