"""Server-side apply over HTTP, on a real database: managers, conflicts, force, dry runs, races."""

import asyncio
from typing import Any

import pytest
from tests.integration.gateway.conftest import PACKED, Door, Reply
from tests.integration.gateway.test_access import key_for

from aspora.client.api_client import ApiClient
from aspora.client.http_transport import HttpTransport
from aspora.meta.errors import Conflict
from aspora.store.interface import Key

DIGEST = PACKED["a"].digest
SKILLS = "/api/v1/domains/default/skills"
TYPE = "application/apply-patch+json"


def wanted(name: str = "one", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    facts = {
        "skillMd": {"name": name, "description": "d"},
        "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1},
    }
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"kind": "Skill", "metadata": metadata, "spec": {**facts, **spec}}


def only(name: str = "one", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """What a manager wants that has an opinion on few fields."""
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"kind": "Skill", "metadata": metadata, **({"spec": spec} if spec else {})}


async def apply(api: Any, body: Any, manager: str = "ann", *, path: str = f"{SKILLS}/one", **query: str) -> Reply:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return await api.call("PATCH", f"{path}?fieldManager={manager}{more}", body, headers={"content-type": TYPE})


def owners(obj: Any) -> dict[str, Any]:
    return {f"{e['manager']}/{e['operation']}": e["fields"] for e in obj["metadata"].get("managedFields", [])}


async def test_it_creates_then_changes_and_an_unchanged_apply_writes_nothing(api: Any) -> None:
    made = await apply(api, wanted(labels={"team": "x"}))
    assert made.status == 201, made.body
    obj = made.json()
    assert owners(obj) == {
        "ann/Apply": {
            "f:metadata": {"f:labels": {"f:team": {}}},
            "f:spec": {
                "f:skillMd": {"f:name": {}, "f:description": {}},
                "f:artifact": {"f:digest": {}, "f:sizeBytes": {}, "f:fileCount": {}},
            },
        }
    }
    again = await apply(api, wanted(labels={"team": "x"}))
    assert (again.status, again.json()) == (200, obj)
    changed = (await apply(api, wanted(labels={"team": "y"}, runtime={"timeoutSeconds": 60}))).json()
    assert changed["metadata"]["generation"] == 2
    assert changed["metadata"]["labels"] == {"team": "y"}
    assert changed["spec"]["runtime"]["timeoutSeconds"] == 60
    back = (await apply(api, wanted())).json()
    assert "labels" not in back["metadata"]
    assert back["spec"]["runtime"]["timeoutSeconds"] == 30, "the default returns when nobody wants another value"
    assert (await api.get(f"{SKILLS}/one")).json() == back


async def test_a_conflict_names_every_field_and_its_owner_and_changes_nothing(api: Any) -> None:
    before = (await apply(api, wanted(labels={"team": "x", "tier": "gold"}, ownerTeam="risk"))).json()
    refused = await apply(api, only(labels={"team": "y", "tier": "gold"}, ownerTeam="fraud"), "bob")
    status = refused.json()
    assert (refused.status, status["reason"]) == (409, "Conflict")
    assert [(d["field"], d["reason"]) for d in status["details"]] == [
        ("metadata.labels.team", "FieldManagerConflict"),
        ("spec.ownerTeam", "FieldManagerConflict"),
    ]
    assert all("'ann'" in d["message"] for d in status["details"])
    assert "force" in status["message"]
    assert (await api.get(f"{SKILLS}/one")).json() == before


async def test_force_takes_fields_over_and_the_former_owner_then_meets_the_conflict(api: Any) -> None:
    await apply(api, wanted(labels={"team": "x"}))
    taken = (await apply(api, only(labels={"team": "y"}), "bob", force="true")).json()
    assert taken["metadata"]["labels"] == {"team": "y"}
    assert owners(taken)["bob/Apply"] == {"f:metadata": {"f:labels": {"f:team": {}}}}
    assert "f:metadata" not in owners(taken)["ann/Apply"]
    assert (await apply(api, wanted(labels={"team": "x"}))).status == 409


async def test_the_same_value_is_owned_together_and_stays_until_the_last_lets_go(api: Any) -> None:
    await apply(api, wanted(labels={"team": "x", "tier": "gold"}))
    shared = (await apply(api, only(labels={"team": "x"}), "bob")).json()
    assert {name for name, fields in owners(shared).items() if "f:metadata" in fields} == {"ann/Apply", "bob/Apply"}
    left = (await apply(api, wanted())).json()
    assert left["metadata"]["labels"] == {"team": "x"}
    gone = (await apply(api, only(), "bob")).json()
    assert "labels" not in gone["metadata"]
    assert "bob/Apply" not in owners(gone)


async def test_a_dry_run_shows_the_outcome_and_stores_nothing(api: Any) -> None:
    shown = await apply(api, wanted(), dryRun="All")
    assert shown.status == 200
    assert owners(shown.json())
    assert (await api.get(f"{SKILLS}/one")).status == 404
    stored = (await apply(api, wanted())).json()
    later = await apply(api, wanted(labels={"team": "y"}), dryRun="All")
    assert later.json()["metadata"]["labels"] == {"team": "y"}
    assert (await apply(api, only(ownerTeam="x"), "bob", dryRun="All")).status == 200
    assert (await api.get(f"{SKILLS}/one")).json() == stored


async def test_other_writes_own_what_they_changed(api: Any) -> None:
    made = (await api.post(f"{SKILLS}?fieldManager=ui", wanted(labels={"team": "x"}))).json()
    assert "f:runtime" not in owners(made)["ui/Update"]["f:spec"], "defaults belong to nobody"
    free = await apply(api, only(runtime={"timeoutSeconds": 45}))
    assert free.status == 200, free.body
    assert (await apply(api, only(labels={"team": "y"}))).status == 409
    put = {**free.json(), "metadata": {**free.json()["metadata"], "labels": {"team": "z"}}}
    changed = (await api.put(f"{SKILLS}/one", put)).json()
    assert owners(changed)["user:admin/Update"] == {"f:metadata": {"f:labels": {"f:team": {}}}}
    patched = (await api.patch(f"{SKILLS}/one?fieldManager=tool", {"spec": {"runtime": {"timeoutSeconds": 50}}})).json()
    assert owners(patched)["tool/Update"] == {"f:spec": {"f:runtime": {"f:timeoutSeconds": {}}}}
    assert "ann/Apply" not in owners(patched)
    same = (await api.patch(f"{SKILLS}/one?fieldManager=other", {"metadata": {"labels": {"team": "z"}}})).json()
    assert same == patched


async def test_status_is_nobodys_and_keeps_the_ownership(api: Any) -> None:
    made = (await apply(api, wanted())).json()
    told = {**made, "status": {"latestRevision": "one-1", "observedGeneration": 1}}
    after = (await api.put(f"{SKILLS}/one/status", told)).json()
    assert owners(after) == owners(made)
    refused = await apply(api, {**wanted(), "status": {"latestRevision": "forged"}})
    assert (refused.status, refused.json()["details"][0]["field"]) == (422, "status")
    assert (await apply(api, wanted())).json() == after


async def test_ownership_cannot_be_written_only_forgotten(api: Any) -> None:
    made = (await apply(api, wanted(labels={"team": "x"}))).json()
    forged = [{"manager": "eve", "operation": "Apply", "fields": {"f:spec": {}}}]
    for claim in (forged, [], [{"broken": 1}], "text", None, [{}, {}]):
        body = {**made, "metadata": {**made["metadata"], "managedFields": claim}}
        answer = await api.put(f"{SKILLS}/one", body)
        assert (answer.status, answer.json()) == (200, made), claim
    refused = await apply(api, {**wanted(), "metadata": {"name": "one", "managedFields": forged}}, "eve")
    assert (refused.status, refused.json()["details"][0]["field"]) == (422, "metadata.managedFields")
    created = await api.post(SKILLS, {**wanted("two"), "metadata": {"name": "two", "managedFields": forged}})
    assert set(owners(created.json())) == {"user:admin/Update"}

    reset = (await api.patch(f"{SKILLS}/one", {"metadata": {"managedFields": [{}]}})).json()
    assert owners(reset) == {}
    assert reset["metadata"]["labels"] == {"team": "x"}


async def test_an_object_from_before_ownership(door: Door) -> None:
    """What differs conflicts with `before-first-apply`, what agrees is taken over, the rest stays."""
    api = door.api
    await apply(api, wanted(labels={"team": "x", "tier": "gold"}))
    await api.patch(f"{SKILLS}/one", {"metadata": {"managedFields": [{}]}})
    old = await door.store.get(Key("Skill", "default", "one"))
    assert "managedFields" not in old["metadata"]
    assert (await api.put(f"{SKILLS}/one", old)).json() == old, "a write without a change claims nothing"
    refused = (await apply(api, wanted(labels={"team": "y"}))).json()
    assert [d["field"] for d in refused["details"]] == ["metadata.labels.team"]
    assert "before-first-apply" in refused["details"][0]["message"]
    taken = (await apply(api, wanted(labels={"team": "x"}))).json()
    assert owners(taken)["ann/Apply"]["f:metadata"] == {"f:labels": {"f:team": {}}}
    assert owners(taken)["before-first-apply/Update"]["f:metadata"] == {"f:labels": {"f:tier": {}}}
    left = (await apply(api, wanted())).json()
    assert left["metadata"]["labels"] == {"tier": "gold"}


async def test_finalizers_are_shared_item_by_item(api: Any) -> None:
    await apply(api, {**wanted(), "metadata": {"name": "one", "finalizers": ["ann.dev/keep"]}})
    both = await apply(api, {"metadata": {"name": "one", "finalizers": ["ctl.dev/clean"]}}, "ctl")
    assert both.json()["metadata"]["finalizers"] == ["ann.dev/keep", "ctl.dev/clean"]
    left = await apply(api, wanted())
    assert left.json()["metadata"]["finalizers"] == ["ctl.dev/clean"]
    await apply(api, {"metadata": {"name": "one"}}, "ctl")


async def test_hidden_fields_are_neither_shown_nor_lost_nor_owned(door: Door) -> None:
    api = door.api
    key = {"kind": "ApiKey", "metadata": {"name": "k"}, "spec": {"owner": "ann"}}
    made = await apply(api, key, path="/api/v1/apikeys/k")
    assert made.status == 201, made.body
    text = made.json()["once"]["key"]
    path = "/api/v1/apikeys/k"
    changed = await apply(api, {**key, "spec": {"owner": "ann", "description": "for tests"}}, path=path)
    assert changed.json()["spec"]["description"] == "for tests"
    assert b"keyHash" not in changed.body
    assert (await api.with_key(text).get("/api/v1/whoami")).json()["name"] == "ann"
    forged = await apply(api, {**key, "spec": {"owner": "ann", "keyHash": "sha256:" + "0" * 64}}, path=path)
    assert b"keyHash" not in forged.body
    assert (await api.with_key(text).get("/api/v1/whoami")).status == 200


async def test_it_takes_patch_and_to_create_also_create(api: Any) -> None:
    role = {"metadata": {"name": "patcher"}, "spec": {"rules": [{"verbs": ["patch"], "kinds": ["skills"]}]}}
    assert (await api.post("/api/v1/roles", role)).status == 201
    patcher = await key_for(api, "pat", role="patcher", domain="default")
    viewer = await key_for(api, "vic", role="viewer", domain="default")
    assert (await apply(patcher, wanted())).status == 403
    assert (await apply(viewer, wanted())).status == 403
    assert (await apply(api, wanted())).status == 201
    assert (await apply(patcher, only(ownerTeam="risk"), "pat")).status == 200
    assert (await apply(viewer, only(ownerTeam="fraud"), "vic")).status == 403


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("?force=true", {}, "BadRequest"),
        ("?fieldManager=", {}, "BadRequest"),
        (f"?fieldManager={'m' * 129}", {}, "BadRequest"),
        ("?fieldManager=a%00b", {}, "BadRequest"),
        ("?fieldManager=a%E2%80%A8b", {}, "BadRequest"),
        ("?fieldManager=a&force=yes", {}, "BadRequest"),
        ("?fieldManager=a&fieldManager=b", {}, "BadRequest"),
        ("?fieldManager=a", [], "BadRequest"),
        ("?fieldManager=a", {"metadata": {"name": "two"}}, "BadRequest"),
        ("?fieldManager=a", {"kind": "Route", "metadata": {"name": "one"}}, "BadRequest"),
        ("?fieldManager=a", {"metadata": {}}, "Invalid"),
        ("?fieldManager=a", {"metadata": {"name": "one"}}, "Invalid"),
        ("?fieldManager=a", {"metadata": {"name": "one", "labels": "x"}, "spec": []}, "Invalid"),
        ("?fieldManager=a", {"metadata": {"name": "one", "uid": "x"}, "spec": {}}, "Conflict"),
    ],
)
async def test_what_is_no_apply_is_refused(api: Any, path: str, body: Any, code: str) -> None:
    answer = await api.call("PATCH", f"{SKILLS}/one{path}", body, headers={"content-type": TYPE})
    assert answer.json()["reason"] == code, answer.body


async def test_a_version_in_the_apply_is_a_precondition(api: Any) -> None:
    made = (await apply(api, wanted())).json()
    version = made["metadata"]["resourceVersion"]
    newer = (await apply(api, wanted(ownerTeam="x"))).json()
    stale = {**wanted(ownerTeam="y"), "metadata": {"name": "one", "resourceVersion": version}}
    assert (await apply(api, stale)).json()["reason"] == "Conflict"
    current = {**stale, "metadata": {"name": "one", "resourceVersion": newer["metadata"]["resourceVersion"]}}
    assert (await apply(api, current)).status == 200


async def test_many_managers_at_once_lose_nothing(api: Any) -> None:
    """Each owns one label; whoever loses a race is run again, the one that creates included."""
    names = [f"m{i}" for i in range(5)]
    answers = await asyncio.gather(*(apply(api, wanted(labels={name: "1"}), name) for name in names))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201], [a.body for a in answers]
    final = (await api.get(f"{SKILLS}/one")).json()
    assert final["metadata"]["labels"] == dict.fromkeys(names, "1")
    assert set(owners(final)) == {f"{name}/Apply" for name in names}


async def test_an_immutable_kind_takes_labels_and_refuses_another_spec(api: Any) -> None:
    made = (await apply(api, wanted())).json()
    spec = {"skill": "one", "digest": "sha256:" + "1" * 64, "version": "1", "skillSpec": made["spec"]}
    revision = {"kind": "Revision", "metadata": {"name": "one-1111111111"}, "spec": spec}
    path = "/api/v1/domains/default/revisions/one-1111111111"
    assert (await apply(api, revision, path=path)).status == 201
    labelled = {"metadata": {"name": "one-1111111111", "labels": {"keep": "yes"}}}
    answer = await apply(api, labelled, "bob", path=path)
    assert (answer.status, answer.json()["spec"]) == (200, spec), answer.body
    assert (await apply(api, {**labelled, "spec": {**spec, "version": "2"}}, "bob", path=path)).status == 422


async def test_the_client_applies(door: Door) -> None:
    client = ApiClient(HttpTransport(door.api.base, api_key=door.admin_key))
    try:
        obj = {**wanted(), "metadata": {"name": "one", "domain": "default", "labels": {"team": "x"}}}
        made = await client.apply(obj, manager="ctl", dry_run=True)
        assert "uid" not in made["metadata"]
        made = await client.apply(obj, manager="ctl")
        other = {"kind": "Skill", "metadata": {"name": "one", "domain": "default", "labels": {"team": "y"}}}
        with pytest.raises(Conflict) as refused:
            await client.apply(other, manager="gc")
        assert [d.reason for d in refused.value.details] == ["FieldManagerConflict"]
        taken = await client.apply(other, manager="gc", force=True)
        assert taken["metadata"]["labels"] == {"team": "y"}
        assert taken["metadata"]["uid"] == made["metadata"]["uid"]
    finally:
        await client.close()
