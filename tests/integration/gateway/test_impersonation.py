"""Acting as somebody else: who may, with what rights, and every way of asking wrongly."""

import asyncio
from typing import Any

import pytest
from tests.integration.gateway.conftest import Door
from tests.integration.gateway.test_access import key_for, skill


def as_user(name: str) -> dict[str, Any]:
    return {"headers": {"Impersonate-User": name}}


@pytest.fixture
async def world(api: Any) -> Any:
    for name in ("ecm", "fraud"):
        assert (await api.post("/api/v1/domains", {"metadata": {"name": name}, "spec": {}})).status == 201
    return api


async def test_an_administrator_has_exactly_the_others_rights(world: Any) -> None:
    await key_for(world, "ann", role="author", domain="fraud")
    me = (await world.get("/api/v1/whoami", **as_user("ann"))).json()
    assert (me["name"], me["type"], me["impersonatedBy"], me["key"]) == ("ann", "user", "admin", "admin")
    assert me["roles"] == ["author@fraud"]
    assert "impersonatedBy" not in (await world.get("/api/v1/whoami")).json()
    made = await world.post("/api/v1/domains/fraud/skills", skill("one"), **as_user("ann"))
    assert made.status == 201, made.body
    assert made.json()["metadata"]["managedFields"][0]["manager"] == "user:ann"
    assert (await world.post("/api/v1/domains/ecm/skills", skill("one"), **as_user("ann"))).status == 404
    assert (await world.delete("/api/v1/domains/fraud", **as_user("ann"))).status == 403


async def test_a_name_that_nobody_knows_has_the_rights_of_every_caller(world: Any) -> None:
    me = (await world.get("/api/v1/whoami", **as_user("nobody-knows-me"))).json()
    assert me["roles"] == []
    assert (await world.get("/api/v1/models", **as_user("nobody-knows-me"))).status == 200
    assert (await world.get("/api/v1/domains/fraud/skills", **as_user("nobody-knows-me"))).status == 404


@pytest.mark.parametrize(
    ("role", "domain"), [("author", "fraud"), ("domain-owner", "fraud"), ("operator", None), ("viewer", None)]
)
async def test_nobody_else_may(world: Any, role: str, domain: str | None) -> None:
    eve = await key_for(world, "eve", role=role, domain=domain)
    for name in ("admin", "eve", "nobody", "system:aspora"):
        answer = await eve.get("/api/v1/whoami", **as_user(name))
        assert (answer.status, answer.json()["reason"]) == (403, "Forbidden"), answer.body
        assert "act as somebody else" in answer.json()["message"]


async def test_a_domain_owner_cannot_give_the_right_to_themselves(world: Any) -> None:
    eve = await key_for(world, "eve", role="domain-owner", domain="fraud")
    rules = {"rules": [{"verbs": ["impersonate"], "kinds": ["users"]}]}
    base = "/api/v1/domains/fraud"
    made = await eve.post(f"{base}/roles", {"metadata": {"name": "masks"}, "spec": rules})
    assert made.status == 201, "in their own domain they hold every verb, where this one means nothing"
    bound = {"subjects": [{"name": "eve"}], "roleRef": {"name": "masks", "scope": "Domain"}}
    assert (await eve.post(f"{base}/rolebindings", {"metadata": {"name": "m"}, "spec": bound})).status == 201
    assert (await eve.get("/api/v1/whoami", **as_user("admin"))).status == 403
    assert (await eve.post("/api/v1/roles", {"metadata": {"name": "masks"}, "spec": rules})).status == 403


async def test_the_right_can_be_given_for_some_names_alone(world: Any) -> None:
    rules = {"rules": [{"verbs": ["impersonate"], "kinds": ["users"], "names": ["ann"]}]}
    assert (await world.post("/api/v1/roles", {"metadata": {"name": "as-ann"}, "spec": rules})).status == 201
    bob = await key_for(world, "bob", role="as-ann", domain=None)
    assert (await bob.get("/api/v1/whoami", **as_user("ann"))).json()["impersonatedBy"] == "bob"
    assert (await bob.get("/api/v1/whoami", **as_user("admin"))).status == 403


async def test_nobody_acts_as_one_of_asporas_own_processes(world: Any) -> None:
    for name in ("system:aspora", "system:start", "system:"):
        answer = await world.get("/api/v1/whoami", **as_user(name))
        assert (answer.status, "own processes" in answer.json()["message"]) == (403, True)


async def test_a_narrowed_key_of_an_administrator_does_not_reach_so_far(world: Any) -> None:
    spec = {"owner": "admin", "domains": ["fraud"]}
    made = (await world.post("/api/v1/apikeys", {"metadata": {"name": "narrow"}, "spec": spec})).json()
    narrow = world.with_key(made["once"]["key"])
    assert (await narrow.get("/api/v1/domains/fraud/skills")).status == 200
    assert (await narrow.get("/api/v1/whoami", **as_user("ann"))).status == 403


async def raw(door: Door, *headers: bytes) -> int:
    """The status of one request whose headers no client library would send."""
    host, port = door.api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [b"GET /api/v1/whoami HTTP/1.1", b"host: x", b"connection: close"]
    lines += [b"authorization: Bearer " + door.admin_key.encode(), *headers]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([b"impersonate-user: ann"], 200),
        (["impersonate-user: Zoë".encode()], 200),
        ([b"impersonate-user: " + b"n" * 255], 200),
        ([b"impersonate-user: ann", b"Impersonate-User: ann"], 400),
        ([b"impersonate-user:"], 400),
        ([b"impersonate-user:    "], 400),
        ([b"impersonate-user: " + b"n" * 256], 400),
        ([b"impersonate-user: a\x00b"], 400),
        ([b"impersonate-user: a\x1bb"], 400),
        ([b"impersonate-user: \xff\xfe"], 400),
        (["impersonate-user: a\u2028b".encode()], 400),
    ],
)
async def test_the_header_in_every_shape(door: Door, headers: list[bytes], status: int) -> None:
    assert await raw(door, *headers) == status
