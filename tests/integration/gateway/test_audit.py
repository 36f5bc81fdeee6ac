"""The audit: a row for each write that was accepted or refused, in the accepted write's own transaction."""

from typing import Any

import psycopg
import pytest
from tests.integration.gateway.conftest import Door
from tests.integration.gateway.test_access import key_for, skill

from aspora.store.interface import Key, Write

SKILLS = "/api/v1/domains/default/skills"
SECRET = "a-text-that-only-the-spec-holds"


async def rows(door: Door, query: str = "") -> list[dict[str, Any]]:
    await door.audit.flush()
    answer = await door.api.get(f"/api/v1/audit{query}")
    assert answer.status == 200, answer.body
    return answer.json()["items"]


def brief(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["verb"], row["regarding"].get("name", ""), row["outcome"]


async def test_every_sort_of_write_leaves_who_what_and_how_it_ended(door: Door) -> None:
    api = door.api
    made = (await api.post(SKILLS, {**skill("one"), "metadata": {"name": "one", "annotations": {"x": SECRET}}})).json()
    changed = (await api.patch(f"{SKILLS}/one", {"metadata": {"labels": {"a": "b"}}})).json()
    same = (await api.put(f"{SKILLS}/one", changed)).json()
    await api.put(f"{SKILLS}/one/status", {**same, "status": {"observedGeneration": 1}})
    applied = {"content-type": "application/apply-patch+json", "x-request-id": "trace-me-0001"}
    await api.call("PATCH", f"{SKILLS}/one?fieldManager=m", {"metadata": {"name": "one"}}, headers=applied)
    await api.delete(f"{SKILLS}/one")
    found = await rows(door, "?kind=Skill&name=one")
    assert [brief(row) for row in reversed(found)] == [
        ("create", "one", "Accepted"),
        ("patch", "one", "Accepted"),
        ("update", "one", "Unchanged"),
        ("update_status", "one", "Accepted"),
        ("apply", "one", "Unchanged"),
        ("delete", "one", "Accepted"),
    ]
    first = found[-1]
    assert first["regarding"] == {"kind": "Skill", "domain": "default", "name": "one", "uid": made["metadata"]["uid"]}
    assert first["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert (first["caller"], first["key"], first["remote"]) == ("admin", "admin", "127.0.0.1")
    assert found[1]["requestId"] == "trace-me-0001"
    assert SECRET not in str(found)


async def test_refusals_are_kept_with_their_reason(door: Door) -> None:
    api = door.api
    eve = await key_for(api, "eve", role="viewer", domain="default")
    await eve.post(SKILLS, skill("mine"))
    await api.post(SKILLS, {**skill("odd"), "spec": {"x": SECRET}})
    await api.put(f"{SKILLS}/none", {**skill("none"), "metadata": {"name": "none", "resourceVersion": "1"}})
    await api.delete(f"{SKILLS}/none")
    await api.post(SKILLS, skill("twice"))
    await api.post(SKILLS, skill("twice"))
    await api.call("POST", SKILLS, data=b"{")
    found = await rows(door, "?kind=Skill")
    assert {brief(row) for row in found} >= {
        ("create", "mine", "Forbidden"),
        ("create", "odd", "Invalid"),
        ("update", "none", "NotFound"),
        ("delete", "none", "NotFound"),
        ("create", "twice", "Accepted"),
        ("create", "twice", "AlreadyExists"),
        ("create", "", "BadRequest"),
    }
    assert SECRET not in str(found)
    [refused] = await rows(door, "?who=eve")
    assert (refused["caller"], refused["key"]) == ("eve", "eve")


async def test_a_dry_run_is_no_write(door: Door) -> None:
    await door.api.post(f"{SKILLS}?dryRun=All", skill("one"))
    await door.api.post(f"{SKILLS}?dryRun=All", {**skill("one"), "spec": {}})
    assert await rows(door, "?kind=Skill") == []


async def test_a_race_that_was_run_again_is_one_row(door: Door) -> None:
    await door.api.post(SKILLS, skill("one"))
    await door.api.patch(f"{SKILLS}/one", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})
    found = await rows(door, "?kind=Skill&verb=patch")
    assert [brief(row) for row in found] == [("patch", "one", "Conflict")]


async def test_who_acted_as_somebody_else_is_kept_with_both_names(door: Door) -> None:
    api = door.api
    ann = await key_for(api, "ann", role="author", domain="default")
    await api.post(SKILLS, skill("one"), headers={"Impersonate-User": "ann"})
    await ann.get("/api/v1/whoami", headers={"Impersonate-User": "admin"})
    [made] = await rows(door, "?who=ann&kind=Skill")
    assert (made["caller"], made["impersonatedBy"], made["key"]) == ("ann", "admin", "admin")
    assert [brief(row) for row in await rows(door, "?verb=impersonate")] == [("impersonate", "admin", "Forbidden")]
    by_both = await rows(door, "?who=admin&kind=Skill")
    assert by_both == [made], "the one who really called is found by their own name too"


async def test_the_row_and_the_write_are_one_transaction(door: Door, dsn: str) -> None:
    """Rolled back, neither is there; and when the audit can't be kept, the write is not accepted."""
    key, audit = Key("Domain", "", "pair"), {"caller": "ann", "verb": "create"}
    obj = {"metadata": {"name": "pair"}, "spec": {}}
    item = '[{"op":"create","kind":"Domain","domain":"","name":"pair","uid":"u","at":"2026-01-01T00:00:00Z",'
    item += '"object":{"kind":"Domain","metadata":{"name":"pair"},"spec":{}},"audit":{"caller":"ann","verb":"create"}}]'
    write = (
        "select written.outcome from aspora_write_objects(%s::jsonb) as written,"
        " aspora_audit_write(%s::jsonb -> 0, written.outcome, written.result)"
    )
    count = (
        "select (select count(*) from objects where name = 'pair'),"
        " (select count(*) from audit_events where name = 'pair')"
    )
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert await (await connection.execute(write, (item, item))).fetchone() == ("written",)
        assert await (await connection.execute(count)).fetchone() == (1, 1)
        await connection.rollback()
        assert await (await connection.execute(count)).fetchone() == (0, 0)
        await connection.execute("alter table audit_events add constraint full_disk check (caller <> 'ann') not valid")
        await connection.commit()
        with pytest.raises(psycopg.errors.CheckViolation):
            await door.store.write([Write("create", key, obj, audit=audit)])
        assert await (await connection.execute(count)).fetchone() == (0, 0)
        await connection.execute("alter table audit_events drop constraint full_disk")
        await connection.commit()
        [result] = await door.store.write([Write("create", key, obj, audit=audit)])
        assert result.error is None
        assert await (await connection.execute(count)).fetchone() == (1, 1)


async def test_a_refused_item_leaves_its_neighbours_rows_alone(door: Door) -> None:
    audit = {"caller": "ann", "verb": "create"}
    names = ("a", "a", "b")
    writes = [Write("create", Key("Domain", "", n), {"metadata": {"name": n}, "spec": {}}, audit=audit) for n in names]
    results = await door.store.write(writes)
    assert [r.error.reason if r.error else "" for r in results] == ["", "AlreadyExists", ""]
    found = await rows(door, "?who=ann")
    assert [(row["regarding"]["name"], row["resourceVersion"]) for row in found] == [
        (r.object["metadata"]["name"], r.object["metadata"]["resourceVersion"])
        for r in (results[2], results[0])
        if r.object
    ]


async def test_it_is_listed_by_those_who_may_where_they_may(door: Door) -> None:
    api = door.api
    await api.post("/api/v1/domains", {"metadata": {"name": "fraud"}, "spec": {}})
    await api.post(SKILLS, skill("here"))
    await api.post("/api/v1/domains/fraud/skills", skill("there"))
    viewer = await key_for(api, "vic", role="viewer", domain="fraud")
    runner = await key_for(api, "run", role="end-user", domain="fraud")
    await door.audit.flush()
    seen = (await viewer.get("/api/v1/audit")).json()["items"]
    assert {row["regarding"]["domain"] for row in seen} == {"fraud"}
    assert (await viewer.get("/api/v1/audit?domain=default")).status == 404
    assert (await runner.get("/api/v1/audit")).status == 403
    assert (await viewer.post("/api/v1/audit", {})).json()["reason"] == "MethodNotAllowed"
    table = (await api.get("/api/v1/audit?kind=Skill", headers={"accept": "application/json;as=Table"})).json()
    assert [row["cells"][1:6] for row in table["rows"]] == [
        ["admin", "create", "fraud", "skill/there", "Accepted"],
        ["admin", "create", "default", "skill/here", "Accepted"],
    ]


async def test_pages_and_filters(door: Door) -> None:
    for i in range(5):
        await door.api.post(SKILLS, skill(f"s{i}"))
    names: list[str] = []
    path = "/api/v1/audit?kind=Skill&limit=2"
    while True:
        page = (await door.api.get(path)).json()
        names += [row["regarding"]["name"] for row in page["items"]]
        if "continue" not in page["metadata"]:
            break
        path = f"/api/v1/audit?kind=Skill&limit=2&continue={page['metadata']['continue']}"
    assert names == ["s4", "s3", "s2", "s1", "s0"]
    assert await rows(door, "?kind=Skill&since=2999-01-01T00:00:00Z") == []
    for bad in ("?since=yesterday", "?since=2026-01-01", "?continue=x", "?limit=0", "?what=x", "?domain=a&domain=b"):
        assert (await door.api.get(f"/api/v1/audit{bad}")).json()["reason"] == "BadRequest", bad


async def test_a_holding_delete_is_one_write_with_one_row(door: Door) -> None:
    made = (await door.api.post(SKILLS, skill("one"))).json()
    held = (await door.api.delete(f"{SKILLS}/one?propagationPolicy=Foreground")).json()
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in held["metadata"]
    row, _ = await rows(door, "?kind=Skill&name=one")
    assert brief(row) == ("delete", "one", "Accepted")
    assert row["resourceVersion"] == held["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
