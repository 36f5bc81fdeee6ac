"""Every verb on objects, over HTTP, on a real database."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.gateway.conftest import PACKED

from aspora.gateway.objects.discovery import RECORDS
from aspora.gateway.objects.resources import ResourceInfo
from aspora.meta.errors import Conflict
from aspora.store.interface import Write, WriteResult
from aspora.store.postgres import PostgresStore

DIGEST = PACKED["a"].digest


def domain(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "aspora.dev/v1", "kind": "Domain", "metadata": {"name": name}, "spec": spec}


def skill(name: str, **spec: Any) -> dict[str, Any]:
    facts = {
        "skillMd": {"name": name, "description": "d"},
        "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1},
    }
    return {"kind": "Skill", "metadata": {"name": name, "labels": {"team": "x"}}, "spec": {**facts, **spec}}


async def make(api: Any, *names: str, in_domain: str = "default") -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name in names:
        answer = await api.post(f"/api/v1/domains/{in_domain}/skills", skill(name))
        assert answer.status == 201, answer.body
        made.append(answer.json())
    return made


SKILLS = "/api/v1/domains/default/skills"


async def test_a_conflict_that_is_no_race_is_not_run_again_and_again(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(door.api, "one")
    tried: list[str] = []

    async def refuse(_: PostgresStore, writes: Sequence[Write]) -> list[WriteResult]:
        tried.append(writes[0].key.name)
        return [WriteResult(None, error=Conflict("another object names it"))]

    monkeypatch.setattr(PostgresStore, "write", refuse)
    refused = await door.api.patch(f"{SKILLS}/one", {"spec": {"ownerTeam": "risk"}})
    assert (refused.status, refused.json()["message"]) == (409, "another object names it")
    assert tried == ["one", "one"]


async def test_the_life_of_an_object(api: Any) -> None:
    [made] = await make(api, "one")
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["domain"] == "default"
    assert made["spec"]["runtime"]["timeoutSeconds"] == 30
    assert (await api.post(SKILLS, skill("one"))).json()["reason"] == "AlreadyExists"
    assert (await api.get(f"{SKILLS}/one")).json() == made

    changed = {**made, "spec": {**made["spec"], "ownerTeam": "risk"}}
    updated = (await api.put(f"{SKILLS}/one", changed)).json()
    assert updated["metadata"]["generation"] == 2
    stale = await api.put(f"{SKILLS}/one", changed)
    assert (stale.status, stale.json()["reason"]) == (409, "Conflict")
    again = (await api.put(f"{SKILLS}/one", updated)).json()
    assert again["metadata"]["resourceVersion"] == updated["metadata"]["resourceVersion"]

    told = {**updated, "status": {"latestRevision": "one-1", "observedGeneration": 2}}
    status = (await api.put(f"{SKILLS}/one/status", told | {"spec": skill("one", role="field")["spec"]})).json()
    assert status["status"]["latestRevision"] == "one-1"
    assert status["spec"]["role"] == "specialist"
    assert status["metadata"]["generation"] == 2
    forged = (await api.put(f"{SKILLS}/one", {**status, "status": {"latestRevision": "forged"}})).json()
    assert forged["status"]["latestRevision"] == "one-1"

    assert (await api.delete(f"{SKILLS}/one?uid=other")).status == 409
    wrong = await api.call("DELETE", f"{SKILLS}/one", {"preconditions": {"resourceVersion": "1"}})
    assert wrong.status == 409
    gone = await api.delete(f"{SKILLS}/one?uid={made['metadata']['uid']}")
    assert gone.json()["metadata"]["name"] == "one"
    assert (await api.get(f"{SKILLS}/one")).status == 404
    assert (await api.delete(f"{SKILLS}/one")).status == 404


async def test_update_needs_its_version_and_path_and_object_must_agree(api: Any) -> None:
    [made] = await make(api, "one")
    bare = skill("one")
    answer = await api.put(f"{SKILLS}/one", bare)
    assert (answer.status, answer.json()["details"][0]["field"]) == (422, "metadata.resourceVersion")
    for body in (
        {**made, "metadata": {**made["metadata"], "name": "two"}},
        {**made, "metadata": {**made["metadata"], "domain": "other"}},
        {**made, "kind": "Route"},
    ):
        assert (await api.put(f"{SKILLS}/one", body)).json()["reason"] == "BadRequest"
    numeric = {**made, "metadata": {**made["metadata"], "resourceVersion": 5}}
    assert (await api.put(f"{SKILLS}/one", numeric)).json()["details"][0]["field"] == "metadata.resourceVersion"
    replaced = {**made, "metadata": {**made["metadata"], "uid": "someone-else"}}
    assert (await api.put(f"{SKILLS}/one", replaced)).json()["reason"] == "Conflict"
    assert (await api.put(f"{SKILLS}/two", {**made, "metadata": {**made["metadata"], "name": "two"}})).status == 404


async def test_merge_patch(api: Any) -> None:
    await make(api, "one")
    body = {"spec": {"ownerTeam": "risk"}, "metadata": {"labels": {"team": None, "tier": "gold"}}}
    patched = (await api.patch(f"{SKILLS}/one", body)).json()
    assert (patched["spec"]["ownerTeam"], patched["metadata"]["labels"]) == ("risk", {"tier": "gold"})
    assert "ownerTeam" not in (await api.patch(f"{SKILLS}/one", {"spec": {"ownerTeam": None}})).json()["spec"]
    pinned = {"metadata": {"resourceVersion": patched["metadata"]["resourceVersion"]}, "spec": {"ownerTeam": "x"}}
    assert (await api.patch(f"{SKILLS}/one", pinned)).status == 409
    forged = await api.patch(f"{SKILLS}/one", {"status": {"latestRevision": "x"}})
    assert (forged.status, forged.json()["details"][0]["field"]) == (422, "status")
    assert (await api.patch(f"{SKILLS}/one", {"spec": {"roel": "field"}})).json()["details"][0]["field"] == "spec.roel"
    assert (await api.call("PATCH", f"{SKILLS}/one", {"spec": {}})).json()["reason"] == "BadRequest"
    answers = await asyncio.gather(
        *(api.patch(f"{SKILLS}/one", {"metadata": {"annotations": {f"k{i}": "v"}}}) for i in range(4))
    )
    assert [a.status for a in answers] == [200] * 4
    assert set((await api.get(f"{SKILLS}/one")).json()["metadata"]["annotations"]) == {"k0", "k1", "k2", "k3"}


async def test_dry_run_takes_the_path_and_writes_nothing(api: Any) -> None:
    answer = await api.post(f"{SKILLS}?dryRun=All", skill("one", visibility="public"))
    assert (answer.status, answer.json()["metadata"]["generation"]) == (200, 1)
    assert answer.json()["spec"]["model"]["fallback"] == "gpt-4o-mini"
    assert any("spec.visibility" in w for w in answer.warnings)
    assert (await api.get(f"{SKILLS}/one")).status == 404
    assert (await api.post(f"{SKILLS}?dryRun=All", skill("one", role="boss"))).status == 422
    assert (await api.post(f"{SKILLS}?dryRun=true", skill("one"))).status == 400
    [made] = await make(api, "one")
    assert (await api.post(f"{SKILLS}?dryRun=All", skill("one"))).json()["reason"] == "AlreadyExists"
    changed = {**made, "spec": {**made["spec"], "ownerTeam": "risk"}}
    assert (await api.put(f"{SKILLS}/one?dryRun=All", changed)).json()["metadata"]["generation"] == 2
    assert (await api.patch(f"{SKILLS}/one?dryRun=All", {"spec": {"ownerTeam": "x"}})).status == 200
    assert (await api.delete(f"{SKILLS}/one?dryRun=All")).status == 200
    assert (await api.get(f"{SKILLS}/one")).json() == made


async def test_lists_select_and_page(api: Any) -> None:
    await make(api, "a", "b", "c", "d")
    await api.patch(f"{SKILLS}/b", {"metadata": {"labels": {"team": "y"}}})
    page = (await api.get(f"{SKILLS}?limit=3")).json()
    assert (page["kind"], [o["metadata"]["name"] for o in page["items"]]) == ("SkillList", ["a", "b", "c"])
    rest = (await api.get(f"{SKILLS}?limit=3&continue={page['metadata']['continue']}")).json()
    assert [o["metadata"]["name"] for o in rest["items"]] == ["d"]
    assert "continue" not in rest["metadata"]

    async def names(query: str) -> list[str]:
        return [o["metadata"]["name"] for o in (await api.get(f"/api/v1/skills?{query}")).json()["items"]]

    assert await names("labelSelector=team=y") == ["b"]
    assert await names("labelSelector=team!=y") == ["a", "c", "d"]
    assert await names("fieldSelector=metadata.name=c") == ["c"]
    assert await names("fieldSelector=spec.role=field") == []
    for query, says in (
        ("labelSelecter=x", "did you mean 'labelSelector'"),
        ("limit=0", "from 1 to 5000"),
        ("limit=x", "whole number"),
        ("continue=forged", "continue"),
        ("labelSelector=a=(", "selector"),
        ("labelSelector=%25%25%25", "label selector"),
        ("fieldSelector=spec.rol=x", "did you mean 'role'"),
        ("resourceVersion=4", "watch=true"),
        ("watch=yes", "true or false"),
    ):
        answer = await api.get(f"{SKILLS}?{query}")
        assert answer.status == 400, query
        assert says in answer.json()["message"], answer.json()


async def test_forms_for_people(api: Any) -> None:
    await make(api, "one")
    table = (await api.get("/api/v1/skills", headers={"accept": "application/json;as=Table"})).json()
    assert [c["name"] for c in table["columnDefinitions"]][:3] == ["DOMAIN", "NAME", "ROLE"]
    assert table["rows"][0]["cells"][:3] == ["default", "one", "specialist"]
    assert table["rows"][0]["object"]["metadata"]["name"] == "one"
    single = (await api.get(f"{SKILLS}/one", headers={"accept": "application/json;as=Table"})).json()
    assert next(c["name"] for c in single["columnDefinitions"]) == "NAME"
    told = (await api.get(f"{SKILLS}/one", headers={"accept": "application/json;as=Description"})).json()
    titles = [s["title"] for s in told["sections"]]
    assert titles[0] == "Object"
    assert "Runtime" in titles
    assert (await api.get(SKILLS, headers={"accept": "application/json;as=Description"})).status == 400


async def test_every_kind_answers_every_form(api: Any) -> None:
    resources = (await api.get("/api/v1")).json()["resources"]
    for resource in resources:
        if resource["name"] in {"executions", "nodes"}:
            continue
        for form in ("", ";as=Table"):
            answer = await api.get(f"/api/v1/{resource['name']}", headers={"accept": f"application/json{form}"})
            assert answer.status == 200, (resource, answer.body)
        if "get" not in resource["verbs"]:
            alone = await api.get(f"/api/v1/{resource['name']}/one")
            assert alone.json()["reason"] == "MethodNotAllowed", alone.body
            continue
        listed = (await api.get(f"/api/v1/{resource['name']}")).json()["items"]
        for obj in listed[:2]:
            path = f"/api/v1/{resource['name']}/{obj['metadata']['name']}"
            told = await api.get(path, headers={"accept": "application/json;as=Description"})
            assert told.status == 200, told.body
        if resource["name"] in {record.plural for record in RECORDS}:
            continue
        explained = await api.get(f"/api/v1/explain/{resource['name']}?path=spec")
        assert explained.status == 200
        assert all(f["description"] for f in explained.json()["fields"]), explained.body
    assert {"skills", "executions", "nodes"} <= {r["name"] for r in resources}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.plural)
async def test_explain_tells_every_field_of_a_record(api: Any, record: ResourceInfo) -> None:
    paths, told = [""], set[str]()
    while paths:
        answer = await api.get(f"/api/v1/explain/{record.plural}?path={paths.pop()}")
        assert answer.status == 200, answer.body
        explained = answer.json()
        assert explained["description"]
        assert all(field["description"] for field in explained["fields"]), explained
        told |= {field["path"] for field in explained["fields"]}
        paths += [field["path"] for field in explained["fields"] if field["hasFields"]]
    assert {"apiVersion", "kind", "metadata.name", "metadata.creationTimestamp"} <= told
    wrong = (await api.get(f"/api/v1/explain/{record.plural}?path=metadata.nam")).json()["message"]
    assert wrong == f"{record.singular}.metadata has no field 'nam'; did you mean 'name'?"


async def test_explain_goes_deep(api: Any) -> None:
    fields = {f["name"]: f for f in (await api.get("/api/v1/explain/skills?path=spec.runtime")).json()["fields"]}
    assert (fields["timeoutSeconds"]["type"], fields["timeoutSeconds"]["default"]) == ("integer", 30)
    assert "at least 1" in fields["timeoutSeconds"]["limits"]
    assert (
        "did you mean 'timeoutSeconds'"
        in (await api.get("/api/v1/explain/skills?path=spec.runtime.timeoutSecond")).json()["message"]
    )
    assert "did you mean 'skills'" in (await api.get("/api/v1/explain/skils")).json()["message"]
    top = {f["name"]: f for f in (await api.get("/api/v1/explain/skills?path=spec")).json()["fields"]}
    assert top["visibility"]["inactive"]


WRONG_PATHS = (
    ("GET", "/api/v1/skils", 404, "did you mean 'skills'"),
    ("GET", "/api/v1/skills/one", 404, "live in a domain"),
    ("POST", "/api/v1/skills", 405, "live in a domain"),
    ("GET", "/api/v1/domains/default/models", 404, "cluster-wide"),
    ("GET", "/api/v1/domains/default/skills/No_Name", 404, "can't be the name"),
    ("GET", "/api/v1/domains/default/skills/a%00b", 404, "can't be the name"),
    ("GET", "/api/v1/domains/nope/skills", 404, "domain 'nope' not found"),
    ("POST", "/api/v1/domains/nope/skills", 404, "aspora create domain nope"),
    ("DELETE", "/api/v1/domains/default/skills", 405, "allowed: GET, HEAD, POST"),
    ("GET", "/api/v2", 404, "no such path"),
)


async def test_wrong_paths_say_what_would_do(api: Any) -> None:
    for method, path, code, says in WRONG_PATHS:
        answer = await api.call(method, path, skill("one") if method == "POST" else None)
        assert answer.status == code, answer.body
        assert says in answer.json()["message"]


BAD_BODIES = (
    (b"", 400),
    (b"[]", 400),
    (b'{"metadata":{"name":"x","name":"y"}}', 400),
    (b'{"metadata":{"name":"x","labels":{"a":"\\u0000"}}}', 400),
    (b'{"metadata":{"name":"x","annotations":{"a":"\\ud800"}}}', 400),
    (b'{"metadata":{"name":"x"},"spec":{"skillMd":' + b"[" * 5000 + b"]" * 5000 + b"}}", 400),
    (b'{"metadata":3}', 422),
    (b'{"metadata":{}}', 422),
    (b'{"metadata":{"name":7}}', 422),
    (b'{"metadata":{"name":"x"},"spec":3}', 422),
    (b'{"metadata":{"name":"x"}}', 422),
    (b'{"metadata":{"name":"X!"},"spec":{}}', 422),
    (b'{"apiVersion":"v9","metadata":{"name":"x"},"spec":{}}', 422),
    (b'{"apiVersion":[],"metadata":{"name":"x"},"spec":{}}', 422),
    (b'{"kind":[],"metadata":{"name":"x"},"spec":{}}', 400),
    (b'{"metadata":{"name":"x","finalizers":"y"},"spec":{}}', 422),
    (b'{"metadata":{"name":"x","labels":{"a":1}},"spec":{}}', 422),
    (b'{"metadata":{"name":"x","domain":5},"spec":{}}', 400),
    (b'{"metadata":{"name":"x"},"spec":{"displayName":"' + b"x" * 5_000_000 + b'"}}', 413),
)


async def test_bad_bodies_are_never_a_server_error(api: Any) -> None:
    for data, code in BAD_BODIES:
        for path in (SKILLS, "/api/v1/apikeys", "/api/v1/roles"):
            answer = await api.call("POST", path, data=io.BytesIO(data), headers={"content-type": "application/json"})
            assert answer.status == code, (path, answer.body)
            assert answer.json()["kind"] == "Status"


async def test_all_field_errors_come_at_once(api: Any) -> None:
    answer = await api.post(SKILLS, skill("one", rol="x", visibility="world", runtime={"cpuMillis": -1}))
    fields = {d["field"]: d["message"] for d in answer.json()["details"]}
    assert "did you mean 'role'" in fields["spec.rol"]
    assert {"spec.visibility", "spec.runtime.cpuMillis"} <= set(fields)


async def test_a_domain_that_holds_objects_stays(api: Any) -> None:
    assert (await api.post("/api/v1/domains", domain("fraud"))).status == 201
    await make(api, "a", "b", "c", "d", in_domain="fraud")
    kept = await api.delete("/api/v1/domains/fraud")
    assert (kept.status, kept.json()["reason"]) == (409, "Conflict")
    assert "skills a, b, c, …" in kept.json()["message"]
    for name in "abcd":
        assert (await api.delete(f"/api/v1/domains/fraud/skills/{name}")).status == 200
    assert (await api.delete("/api/v1/domains/fraud")).status == 200
    assert (await api.post("/api/v1/domains/fraud/skills", skill("e"))).status == 404
    assert (await api.post("/api/v1/domains", domain("fraud"))).status == 201
    await make(api, "e", in_domain="fraud")


async def test_finalizers_hold_an_object(api: Any) -> None:
    held = skill("one")
    held["metadata"]["finalizers"] = ["aspora.dev/test"]
    assert (await api.post(SKILLS, held)).status == 201
    marked = (await api.delete(f"{SKILLS}/one")).json()
    assert "deletionTimestamp" in marked["metadata"]
    assert (await api.get(f"{SKILLS}/one")).status == 200
    assert (await api.patch(f"{SKILLS}/one", {"metadata": {"finalizers": None}})).status == 200
    assert (await api.get(f"{SKILLS}/one")).status == 404


async def test_an_immutable_kind_refuses_changes_and_status_reads(api: Any) -> None:
    spec = {"skill": "s", "digest": "sha256:" + "a" * 64, "version": "1", "skillSpec": skill("s")["spec"]}
    revision = {"kind": "Revision", "metadata": {"name": "s-aaaaaaaaaa"}, "spec": spec}
    made = (await api.post("/api/v1/domains/default/revisions", revision)).json()
    changed = {**made, "spec": {**made["spec"], "version": "2"}}
    answer = await api.put("/api/v1/domains/default/revisions/s-aaaaaaaaaa", changed)
    assert answer.json()["details"][0]["reason"] == "Immutable"
    assert (await api.get("/api/v1/domains/default/revisions/s-aaaaaaaaaa/status")).json() == made
