"""What a new Aspora begins with, its probes and its published contract."""

import asyncio
import json
from typing import Any

from openapi_spec_validator import validate

from aspora.access.keys import mint_key
from aspora.gateway.objects.bootstrap import SHIPPED, admin_key, system_key
from aspora.models.defaults import default_objects


async def test_a_second_start_writes_nothing_and_keeps_what_people_edited(door: Any) -> None:
    api = door.api
    roles = {o["metadata"]["name"] for o in (await api.get("/api/v1/roles")).json()["items"]}
    assert {"platform-admin", "domain-owner", "author", "operator", "viewer", "end-user", "agent"} <= roles
    models = (await api.get("/api/v1/models")).json()["items"]
    assert "claude-sonnet-4-5" in {m["metadata"]["name"] for m in models}
    edited = (await api.patch("/api/v1/models/gpt-4o-mini", {"spec": {"tier": "large"}})).json()
    before = (await api.get("/api/v1/models")).json()["metadata"]["resourceVersion"]

    shipped = default_objects()
    await door.parts.bootstrap.run(shipped=shipped, keys=[])
    assert (await api.get("/api/v1/models")).json()["metadata"]["resourceVersion"] == before

    for obj in shipped:
        if obj["kind"] == "Model":
            obj["spec"]["contextTokens"] += 1
    await door.parts.bootstrap.run(shipped=shipped, keys=[])
    assert (await api.get("/api/v1/models/gpt-4o-mini")).json() == edited
    moved = (await api.get("/api/v1/models/claude-sonnet-4-5")).json()
    old = next(m for m in models if m["metadata"]["name"] == "claude-sonnet-4-5")
    assert moved["spec"]["contextTokens"] == old["spec"]["contextTokens"] + 1
    assert moved["metadata"]["annotations"][SHIPPED] != old["metadata"]["annotations"][SHIPPED]


async def test_a_new_start_key_replaces_the_former_one(door: Any) -> None:
    first, second = mint_key().text, mint_key().text
    await door.parts.bootstrap.run(shipped=[], keys=[system_key(first)])
    assert (await door.api.with_key(first).get("/api/v1/whoami")).json()["name"] == "system:aspora"
    await door.parts.bootstrap.run(shipped=[], keys=[system_key(second), system_key(second)])
    who = (await door.api.with_key(second).get("/api/v1/whoami")).json()
    assert (who["type"], who["roles"]) == ("system", ["system-controller", "system-executor"])
    assert (await door.api.with_key(first).get("/api/v1/whoami")).status == 401
    owners = [o["spec"]["owner"] for o in (await door.api.get("/api/v1/apikeys")).json()["items"]]
    assert sorted(owners) == ["admin", "aspora"]


async def test_two_starts_at_once(door: Any) -> None:
    key = admin_key(mint_key().text)
    await asyncio.gather(*(door.parts.bootstrap.run(shipped=default_objects(), keys=[key]) for _ in range(3)))
    assert (await door.api.with_key(key.text).get("/api/v1/whoami")).status == 200


async def test_ready_once_the_view_is_in_step(door: Any) -> None:
    async with asyncio.timeout(30):
        while (ready := await door.api.get("/readyz")).status != 200:
            assert [d["field"] for d in ready.json()["details"]] == ["view"]
    assert ready.json() == {"status": "ok", "checks": {"database": "ok", "view": "ok"}}
    await door.parts.view.get("Domain", "default")
    reads = 'aspora_view_rereads_total{kind="Domain"}'
    before = [line for line in (await door.api.get("/metrics")).body.decode().splitlines() if line.startswith(reads)]
    for _ in range(20):
        assert (await door.api.get("/api/v1/domains/default/skills")).status == 200
    after = [line for line in (await door.api.get("/metrics")).body.decode().splitlines() if line.startswith(reads)]
    assert before == after


async def test_the_published_contract_is_valid_and_whole(door: Any) -> None:
    document = (await door.api.get("/openapi.json")).json()
    validate(document)
    paths = document["paths"]
    assert {"get", "post"} == set(paths["/api/v1/domains/{domain}/skills"])
    assert {"get"} == set(paths["/api/v1/skills"])
    assert {"get", "put", "patch", "delete"} == set(paths["/api/v1/models/{name}"])
    assert "put" in paths["/api/v1/domains/{domain}/artifacts/{digest}"]
    skill = document["components"]["schemas"]["Skill"]
    assert skill["properties"]["kind"] == {"const": "Skill"}
    assert "timeoutSeconds" in json.dumps(document)
    ids = [op["operationId"] for item in paths.values() for op in item.values()]
    assert len(ids) == len(set(ids))


async def test_without_its_database_the_gateway_says_unavailable(door: Any, database: Any) -> None:
    await database.close()
    seen: set[int] = set()
    async with asyncio.timeout(30):
        while 503 not in seen:
            seen.add((await door.api.get("/api/v1/whoami")).status)
    assert seen <= {200, 503}
    for method, path in (("GET", "/api/v1/models"), ("POST", "/api/v1/domains"), ("GET", "/api/v1/models?watch=true")):
        answer = await door.api.call(
            method, path, {"metadata": {"name": "x"}, "spec": {}} if method == "POST" else None
        )
        assert (answer.status, answer.json()["reason"]) == (503, "Unavailable")
    assert (await door.api.get("/readyz")).status == 503
    assert (await door.api.get("/healthz")).status == 200
