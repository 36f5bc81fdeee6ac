"""People with different roles at the same door."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.gateway.conftest import PACKED

from aspora.meta.objects import rfc3339

DIGEST = PACKED["a"].digest


def skill(name: str) -> dict[str, Any]:
    facts = {
        "skillMd": {"name": name, "description": "d"},
        "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1},
    }
    return {"kind": "Skill", "metadata": {"name": name}, "spec": facts}


async def key_for(api: Any, owner: str, *, role: str, domain: str | None) -> Any:
    """A new caller with one role in one place."""
    base = f"/api/v1/domains/{domain}" if domain else "/api/v1"
    spec = {"subjects": [{"name": owner}], "roleRef": {"name": role}}
    bound = await api.post(f"{base}/rolebindings", {"metadata": {"name": f"{owner}-{role}"}, "spec": spec})
    assert bound.status == 201, bound.body
    made = await api.post("/api/v1/apikeys", {"metadata": {"name": owner}, "spec": {"owner": owner}})
    assert made.status == 201, made.body
    return api.with_key(made.json()["once"]["key"])


@pytest.fixture
async def world(api: Any) -> Any:
    """Two domains with one skill each."""
    for name in ("ecm", "fraud"):
        assert (await api.post("/api/v1/domains", {"metadata": {"name": name}, "spec": {}})).status == 201
        assert (await api.post(f"/api/v1/domains/{name}/skills", skill(f"{name}-skill"))).status == 201
    return api


async def test_what_is_not_yours_answers_like_what_does_not_exist(world: Any) -> None:
    ann = await key_for(world, "ann", role="domain-owner", domain="fraud")
    unseen = {"ecm": "nowhere"}
    for method, path, body in (
        ("GET", "/api/v1/domains/ecm", None),
        ("GET", "/api/v1/domains/ecm/skills", None),
        ("GET", "/api/v1/domains/ecm/skills?watch=true", None),
        ("GET", "/api/v1/domains/ecm/skills/ecm-skill", None),
        ("POST", "/api/v1/domains/ecm/skills", skill("new")),
        ("PUT", "/api/v1/domains/ecm/skills/ecm-skill", {"metadata": {"name": "ecm-skill"}}),
        ("PATCH", "/api/v1/domains/ecm/skills/ecm-skill", {}),
        ("DELETE", "/api/v1/domains/ecm/skills/ecm-skill", None),
        ("PUT", "/api/v1/domains/ecm/skills/ecm-skill/status", {"metadata": {"name": "ecm-skill"}}),
        ("GET", f"/api/v1/domains/ecm/artifacts/{DIGEST}", None),
        ("PUT", f"/api/v1/domains/ecm/artifacts/{DIGEST}", None),
        ("DELETE", "/api/v1/domains/ecm", None),
    ):
        other = path
        for known, unknown in unseen.items():
            other = other.replace(f"domains/{known}", f"domains/{unknown}")
        headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
        one = await ann.call(method, path, body, headers=headers)
        two = await ann.call(method, other, body, headers=headers)
        assert one.status == two.status == 404, (method, path, one.body)
        assert one.body.replace(b"ecm", b"nowhere") == two.body.replace(b"ecm", b"nowhere"), (method, path)


async def test_lists_and_watches_over_all_domains_show_only_ones_own(world: Any) -> None:
    ann = await key_for(world, "ann", role="viewer", domain="fraud")
    listed = (await ann.get("/api/v1/skills")).json()
    assert [o["metadata"]["name"] for o in listed["items"]] == ["fraud-skill"]
    assert [o["metadata"]["name"] for o in (await ann.get("/api/v1/domains")).json()["items"]] == ["fraud"]
    page = (await ann.get("/api/v1/skills?limit=1")).json()
    assert "continue" not in page["metadata"]
    async with ann.lines("/api/v1/skills?watch=true") as lines:
        assert (await lines.next())["object"]["metadata"]["name"] == "fraud-skill"
        await world.post("/api/v1/domains/ecm/skills", skill("secret"))
        await world.post("/api/v1/domains/fraud/skills", skill("mine"))
        event = await lines.next()
        while event["type"] == "BOOKMARK":
            event = await lines.next()
        assert event["object"]["metadata"]["name"] == "mine"
    hidden = await ann.get("/api/v1/skills?fieldSelector=metadata.domain=ecm")
    assert hidden.json()["items"] == []
    nothing = await key_for(world, "eve", role="end-user", domain="ecm")
    assert (await nothing.get("/api/v1/routes")).status == 403


async def test_roles_limit_verbs(world: Any) -> None:
    author = await key_for(world, "ann", role="author", domain="fraud")
    viewer = await key_for(world, "vic", role="viewer", domain="fraud")
    user = await key_for(world, "uma", role="end-user", domain="fraud")
    path = "/api/v1/domains/fraud/skills"
    assert (await author.post(path, skill("s"))).status == 201
    assert (await author.put(f"{path}/s/status", {"metadata": {"name": "s"}})).status == 403
    assert (await author.post("/api/v1/domains/fraud/roles", {"metadata": {"name": "r"}, "spec": {}})).status == 403
    assert (await author.get("/api/v1/models")).status == 200
    assert (await author.get("/api/v1/providers")).status == 403
    assert (await viewer.get(f"{path}/s")).status == 200
    assert (await viewer.post(path, skill("t"))).status == 403
    assert (await viewer.delete(f"{path}/s")).status == 403
    assert (await viewer.get("/metrics")).status == 403
    assert (await world.get("/metrics")).status == 200
    assert (await user.get(path)).status == 200
    assert (await user.get(f"{path}?watch=true")).status == 403


async def test_nobody_grants_what_they_lack(world: Any) -> None:
    owner = await key_for(world, "olga", role="domain-owner", domain="fraud")
    base = "/api/v1/domains/fraud"
    mine = {"metadata": {"name": "b"}, "spec": {"subjects": [{"name": "x"}], "roleRef": {"name": "author"}}}
    assert (await owner.post(f"{base}/rolebindings", mine)).status == 201
    for spec in (
        {"subjects": [{"name": "olga"}], "roleRef": {"name": "platform-admin"}},
        {"subjects": [{"name": "aspora", "kind": "system"}], "roleRef": {"name": "viewer"}},
    ):
        answer = await owner.post(f"{base}/rolebindings", {"metadata": {"name": "c"}, "spec": spec})
        assert answer.json()["reason"] == "Forbidden", answer.body
    assert (await owner.post("/api/v1/apikeys", {"metadata": {"name": "k"}, "spec": {"owner": "admin"}})).status == 403
    stolen = await owner.post(f"{base}/apikeys", {"metadata": {"name": "k"}, "spec": {"owner": "admin"}})
    assert stolen.json()["reason"] == "Forbidden"
    own = await owner.post(f"{base}/apikeys", {"metadata": {"name": "k"}, "spec": {"owner": "olga"}})
    assert own.status == 201
    narrowed = owner.with_key(own.json()["once"]["key"])
    assert (await narrowed.get(f"{base}/skills")).status == 200
    assert (await narrowed.get("/api/v1/whoami")).json()["roles"] == ["domain-owner@fraud"]


async def test_a_key_is_shown_once_hashed_expires_and_is_revoked(world: Any) -> None:
    soon = rfc3339(datetime.now(UTC) + timedelta(hours=1))
    body = {"metadata": {"name": "k"}, "spec": {"owner": "admin", "expiresAt": soon, "keyHash": "sha256:" + "0" * 64}}
    made = await world.post("/api/v1/apikeys", body)
    text = made.json()["once"]["key"]
    assert "keyHash" not in made.json()["spec"]
    again = await world.get("/api/v1/apikeys/k")
    assert "once" not in again.json()
    assert text.encode() not in again.body
    caller = world.with_key(text)
    who = (await caller.get("/api/v1/whoami")).json()
    assert (who["name"], who["key"], who["expiresAt"]) == ("admin", "k", soon)
    assert (await world.get("/api/v1/apikeys?fieldSelector=spec.keyHash=x")).status == 400

    same = {**again.json(), "spec": {**again.json()["spec"], "keyHash": "sha256:" + "1" * 64, "description": "x"}}
    assert (await world.put("/api/v1/apikeys/k", same)).status == 200
    assert (await caller.get("/api/v1/whoami")).status == 200
    assert (await world.patch("/api/v1/apikeys/k", {"spec": {"expiresAt": "2020-01-01T00:00:00Z"}})).status == 200
    expired = await caller.get("/api/v1/whoami")
    assert expired.status == 401
    assert "expired" in expired.json()["message"]
    assert (await world.patch("/api/v1/apikeys/k", {"spec": {"expiresAt": None}})).status == 200
    assert (await caller.get("/api/v1/whoami")).status == 200
    assert (await world.delete("/api/v1/apikeys/k")).status == 200
    assert (await caller.get("/api/v1/whoami")).status == 401


@pytest.mark.parametrize("text", ["", "x", "aspora_admin_" + "0" * 64, "aspora_ghost_" + "0" * 64])
async def test_other_keys_are_refused(api: Any, text: str) -> None:
    answer = await api.with_key(text).get("/api/v1")
    assert (answer.status, answer.json()["reason"]) == (401, "Unauthorized")
    assert "0" * 64 not in answer.json()["message"]


async def test_a_changed_role_counts_at_once(world: Any) -> None:
    role = {"metadata": {"name": "looker"}, "spec": {"rules": [{"verbs": ["list"], "kinds": ["skills"]}]}}
    assert (await world.post("/api/v1/domains/fraud/roles", role)).status == 201
    spec = {"subjects": [{"name": "leo"}], "roleRef": {"name": "looker", "scope": "Domain"}}
    await world.post("/api/v1/domains/fraud/rolebindings", {"metadata": {"name": "leo"}, "spec": spec})
    made = await world.post("/api/v1/apikeys", {"metadata": {"name": "leo"}, "spec": {"owner": "leo"}})
    leo = world.with_key(made.json()["once"]["key"])
    path = "/api/v1/domains/fraud/skills"
    assert (await leo.get(path)).status == 200
    assert (await leo.get(f"{path}/fraud-skill")).status == 403
    rules = [{"verbs": ["list", "get"], "kinds": ["skills"]}]
    assert (await world.patch("/api/v1/domains/fraud/roles/looker", {"spec": {"rules": rules}})).status == 200
    assert (await leo.get(f"{path}/fraud-skill")).status == 200
    assert (await world.delete("/api/v1/domains/fraud/rolebindings/leo")).status == 200
    assert (await leo.get(path)).status == 404


async def test_can_i(world: Any) -> None:
    ann = await key_for(world, "ann", role="author", domain="fraud")

    async def allowed(caller: Any, **question: str) -> bool:
        return (await caller.post("/api/v1/can-i", question)).json()["allowed"]

    assert await allowed(ann, verb="create", resource="skills", domain="fraud")
    assert not await allowed(ann, verb="create", resource="skills", domain="ecm")
    assert await allowed(world, verb="delete", resource="domains", name="ecm")
    answer = await world.post("/api/v1/can-i", {"verb": 3, "what": "x"})
    assert {d["field"] for d in answer.json()["details"]} == {"what", "verb", "resource"}
