"""The serving door over HTTP and a real database; an executor runs only where something must end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from aspora.access.interface import Caller, Grant
from aspora.records.idempotency import KeyOwner, take
from aspora.records.ids import execution_id
from aspora.records.rows import NewExecution

ECHO = """
from aspora_sdk import SkillResult, skill_handler

@skill_handler
def handler(context):
    return SkillResult(success=True, message="ok", data=dict(context.input.metadata))
"""
TABLE = {"accept": "application/json;as=Table"}
DESCRIPTION = {"accept": "application/json;as=Description"}


async def insert(site: Any, *, entropy: int, at: datetime, skill: str = "echo", domain: str = "test") -> str:
    """An execution that waits, recorded directly."""
    new = NewExecution(
        id=execution_id(at, entropy=entropy),
        domain=domain,
        skill=skill,
        revision=f"{skill}-1",
        environment="production",
        execution_class="inline",
        input={},
        input_ref=None,
        caller="tester",
        trigger={"type": "api"},
        created_at=at,
        deadline=at + timedelta(days=1),
        stages={},
    )
    async with site.database.connection() as connection:
        assert await site.executions.insert(connection, new, any_day=True)
        # Accepted when the test says, not when the database's clock does.
        await connection.execute(b"update executions set created_at = %s where id = %s", (at, new.id))
    return new.id


async def test_fifty_posts_with_one_key_make_one_execution(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    await site.start_executor()
    key = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(*(site.run("echo", {"n": 1}, headers=key) for _ in range(50)))
    assert len({a.body["metadata"]["name"] for a in answers}) == 1
    assert sorted(a.status for a in answers) == [200] * 49 + [201]
    assert {a.body["status"]["state"] for a in answers} == {"Succeeded"}
    assert len((await site.call("GET", "/api/v1/executions")).body["items"]) == 1


async def test_a_key_with_another_body_is_a_conflict_and_belongs_to_one_caller_and_skill(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    await site.add_skill("other", ECHO)
    site.callers["second"] = Caller("second", "user", site.callers["tester"].grants)
    key = {"Idempotency-Key": "k"}
    body = {"input": {"metadata": {"n": 1}}}
    path = "/api/v1/domains/test/skills/echo/executions?wait=1"
    first, same, respelled, changed, other_skill, other_caller = [
        await site.call("POST", path, body, headers=key),
        await site.call("POST", path, body, headers=key),
        await site.call("POST", path, {**body, "environment": "production"}, headers=key),
        await site.call("POST", path, {"input": {"metadata": {"n": 2}}}, headers=key),
        await site.call("POST", path.replace("echo", "other"), body, headers=key),
        await site.call("POST", path, body, headers=key, key="second"),
    ]
    name = first.body["metadata"]["name"]
    assert (first.status, same.status, respelled.status) == (202, 200, 200)
    assert {same.body["metadata"]["name"], respelled.body["metadata"]["name"]} == {name}
    assert (changed.status, changed.body["reason"]) == (409, "Conflict")
    assert name in changed.body["message"]
    assert (other_skill.status, other_caller.status) == (202, 202)


async def test_a_key_that_ran_out_is_free_again(site: Any) -> None:
    owner = KeyOwner("c", "d", "s", "k")
    first, second = (execution_id(datetime.now(UTC), entropy=n) for n in (1, 2))
    async with site.database.connection() as connection:
        assert await take(connection, owner, body_digest="a", execution=first) == first
        assert await take(connection, owner, body_digest="a", execution=second) == first
        await connection.execute("update idempotency_keys set expires_at = now() - interval '1 second'")
        assert await take(connection, owner, body_digest="b", execution=second) == second


async def test_durable_work_is_refused_until_an_executor_has_set_it_up_and_leaves_nothing(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    refused = await site.run("echo", wait=0, headers={"Idempotency-Key": "k"})
    assert (refused.status, refused.body["reason"]) == (503, "Unavailable")
    assert "aspora get nodes" in refused.body["message"]
    assert (await site.call("GET", "/api/v1/executions")).body["items"] == []
    await site.start_executor(durable=True)
    accepted = await site.run("echo", wait=0, headers={"Idempotency-Key": "k"})
    assert (accepted.status, accepted.body["spec"]["class"]) == (202, "durable")
    assert (await site.wait_end(accepted.body["metadata"]["name"]))["state"] == "Succeeded"


async def test_what_cannot_be_run_is_refused_with_the_way_out(site: Any) -> None:
    revision = await site.add_skill("echo", ECHO)
    await site.add_skill("other", ECHO)
    found = {
        "unknown skill": await site.run("ecko"),
        "unknown domain": await site.run("echo", domain="nowhere"),
        "not released": await site.run("echo", environment="staging"),
        "unknown revision": await site.run("echo", revision="echo-0000000000"),
        "another's revision": await site.run("other", revision=revision),
        "unknown field": await site.call("POST", "/api/v1/domains/test/skills/echo/executions", {"inputs": {}}),
        "unknown parameter": await site.call("POST", "/api/v1/domains/test/skills/echo/executions?wiat=1", {}),
    }
    assert {name: a.status for name, a in found.items()} == {
        "unknown skill": 404,
        "unknown domain": 404,
        "not released": 404,
        "unknown revision": 404,
        "another's revision": 422,
        "unknown field": 422,
        "unknown parameter": 400,
    }
    assert "kind Route" in found["not released"].body["message"]
    assert "did you mean 'echo'" in found["unknown skill"].body["message"]
    assert "did you mean 'input'" in found["unknown field"].body["message"]
    assert "did you mean 'wait'" in found["unknown parameter"].body["message"]


async def test_a_route_without_traffic_and_one_that_points_nowhere_are_unavailable(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    site.reader.put("Route", "test", "echo.production", {"skill": "echo", "traffic": []})
    empty = await site.run("echo")
    traffic = [{"revision": "echo-gone", "shareBp": 10_000}]
    site.reader.put("Route", "test", "echo.production", {"skill": "echo", "traffic": traffic})
    dangling = await site.run("echo")
    assert (empty.status, dangling.status) == (503, 503)
    for answer in (empty, dangling):
        assert "aspora rollback test/echo --to REVISION" in answer.body["message"]


async def test_lists_filter_page_and_keep_to_what_the_caller_may_see(site: Any) -> None:
    site.reader.put("Domain", "", "test", {})
    site.reader.put("Domain", "", "secret", {})
    start = datetime(2026, 11, 20, 23, 59, 58, tzinfo=UTC)
    names = [await insert(site, entropy=n, at=start + timedelta(seconds=n)) for n in range(5)]
    hidden = await insert(site, entropy=9, at=start, domain="secret")
    grant = Grant("test", frozenset({"get", "list"}), frozenset({"executions"}))
    site.callers["viewer"] = Caller("viewer", "user", (grant,))

    seen: list[str] = []
    query = "limit=2"
    while True:
        page = (await site.call("GET", f"/api/v1/executions?{query}", key="viewer")).body
        seen += [i["metadata"]["name"] for i in page["items"]]
        if "continue" not in page["metadata"]:
            break
        query = f"limit=2&continue={page['metadata']['continue']}"
    assert seen == names[::-1]
    since = (await site.call("GET", "/api/v1/domains/test/executions?since=2026-11-21T00:00:01Z&state=Pending")).body
    assert [i["metadata"]["name"] for i in since["items"]] == names[:2:-1]
    everything = (await site.call("GET", "/api/v1/executions")).body["items"]
    assert hidden in {i["metadata"]["name"] for i in everything}
    assert (await site.call("GET", f"/api/v1/executions/{hidden}", key="viewer")).status == 404
    assert (await site.call("GET", "/api/v1/domains/secret/executions", key="viewer")).status == 404
    assert (await site.call("GET", "/api/v1/executions?state=Done")).status == 400
    assert (await site.call("GET", "/api/v1/executions?continue=abc")).status == 400
    forbidden = await site.call("POST", f"/api/v1/domains/test/executions/{names[0]}/cancel", key="viewer")
    assert forbidden.status == 403


async def test_a_unique_beginning_of_an_id_is_enough(site: Any) -> None:
    site.reader.put("Domain", "", "test", {})
    at = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
    first = await insert(site, entropy=0x7F3A09C1, at=at)
    await insert(site, entropy=0x7F3B0000, at=at)
    unique = await site.call("GET", "/api/v1/executions/EXEC-20260218120000-7f3a")
    ambiguous = await site.call("GET", "/api/v1/executions/EXEC-202602")
    unknown = await site.call("GET", "/api/v1/executions/EXEC-2025")
    nonsense = await site.call("GET", "/api/v1/executions/order-1")
    elsewhere = await site.call("GET", f"/api/v1/domains/nowhere/executions/{first}")
    assert unique.body["metadata"]["name"] == first
    assert (ambiguous.status, ambiguous.body["reason"]) == (409, "Conflict")
    assert first in ambiguous.body["message"]
    assert (unknown.status, nonsense.status, elsewhere.status) == (404, 404, 404)


async def test_tables_and_descriptions_for_people(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    await site.start_executor()
    name = (await site.run("echo", {"n": 1})).body["metadata"]["name"]
    table = (await site.call("GET", "/api/v1/executions", headers=TABLE)).body
    assert [c["name"] for c in table["columnDefinitions"] if not c["wide"]] == [
        *("DOMAIN", "NAME", "SKILL", "STATE", "CLASS", "TIME", "COST", "AGE"),
    ]
    assert table["rows"][0]["cells"][:4] == ["test", name, "echo", "Succeeded"]
    described = (await site.call("GET", f"/api/v1/executions/{name}", headers=DESCRIPTION)).body
    titles = [s["title"] for s in described["sections"]]
    assert titles == ["Execution", "Input", "State", "Result", "Stages", "Trace"]
    nodes = (await site.call("GET", "/api/v1/nodes", headers=TABLE)).body
    assert nodes["rows"][0]["cells"][1:3] == ["executor", "Alive"]
    assert nodes["rows"][0]["cells"][3].startswith("inline")
    node = nodes["rows"][0]["object"]["metadata"]["name"]
    assert (await site.call("GET", f"/api/v1/nodes/{node}", headers=DESCRIPTION)).body["kind"] == "Description"
    for absent in ("nobody", "a%00b"):
        assert (await site.call("GET", f"/api/v1/nodes/{absent}")).status == 404


async def test_records_are_never_edited(site: Any) -> None:
    for method, path in (("PUT", "executions/EXEC-1"), ("DELETE", "executions/EXEC-1"), ("POST", "nodes")):
        refused = await site.call(method, f"/api/v1/{path}", {})
        assert (refused.status, refused.body["reason"]) == (405, "MethodNotAllowed")
