"""Watches over HTTP: nothing missed, nothing shown that must not be, and every end is clean."""

import asyncio
import json
from typing import Any

from tests.integration.gateway.conftest import PACKED

DIGEST = PACKED["a"].digest
SKILLS = "/api/v1/domains/default/skills"


def skill(name: str, **labels: str) -> dict[str, Any]:
    facts = {
        "skillMd": {"name": name, "description": "d"},
        "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1},
    }
    return {"kind": "Skill", "metadata": {"name": name, "labels": labels}, "spec": facts}


async def next_change(lines: Any) -> Any:
    """The next event that is no bookmark; None at the end."""
    while (event := await lines.next()) is not None and event["type"] == "BOOKMARK":
        pass
    return event


async def test_first_all_objects_then_every_change(api: Any) -> None:
    for name in "ab":
        await api.post(SKILLS, skill(name))
    async with api.lines("/api/v1/skills?watch=true") as lines:
        assert lines.answer.headers["content-type"] == "application/x-ndjson"
        first = [await next_change(lines) for _ in range(2)]
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in first] == [("ADDED", "a"), ("ADDED", "b")]
        made = (await api.post(SKILLS, skill("c"))).json()
        event = await next_change(lines)
        assert (event["type"], event["object"]) == ("ADDED", made)
        await api.patch(f"{SKILLS}/c", {"spec": {"ownerTeam": "x"}})
        assert (await next_change(lines))["type"] == "MODIFIED"
        await api.delete(f"{SKILLS}/c")
        assert (await next_change(lines))["type"] == "DELETED"


async def test_from_a_version_with_a_selector(api: Any) -> None:
    version = (await api.get(SKILLS)).json()["metadata"]["resourceVersion"]
    await api.post(SKILLS, skill("a", team="x"))
    await api.post(SKILLS, skill("b", team="y"))
    await api.patch(f"{SKILLS}/a", {"metadata": {"labels": {"team": "y"}}})
    path = f"{SKILLS}?watch=true&resourceVersion={version}&labelSelector=team=x"
    async with api.lines(path) as lines:
        seen = [await next_change(lines) for _ in range(2)]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in seen] == [("ADDED", "a"), ("DELETED", "a")]


async def test_rows_for_people(api: Any) -> None:
    async with api.lines(f"{SKILLS}?watch=true", accept="application/json;as=Table") as lines:
        await api.post(SKILLS, skill("a"))
        event = await next_change(lines)
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "a"


async def test_hidden_fields_do_not_leave_by_a_watch(api: Any) -> None:
    made = (await api.post("/api/v1/apikeys", {"metadata": {"name": "ci"}, "spec": {"owner": "bob"}})).json()
    assert made["once"]["key"].startswith("aspora_ci_")
    async with api.lines("/api/v1/apikeys?watch=true") as lines:
        for _ in range(3):
            event = await next_change(lines)
            assert "keyHash" not in event["object"]["spec"]
            assert "once" not in event["object"]


async def test_an_unknown_place_in_history_is_expired(api: Any) -> None:
    async with api.lines(f"{SKILLS}?watch=true&resourceVersion=99999999999999999") as lines:
        event = await lines.next()
        assert (event["type"], event["object"]["reason"], event["object"]["code"]) == ("ERROR", "Expired", 410)
        assert await lines.next() is None
    assert (await api.get(f"{SKILLS}?watch=true&resourceVersion=x")).status == 400
    async with api.lines(f"{SKILLS}?watch=true&resourceVersion={'9' * 40}") as lines:
        assert (await lines.next())["object"]["reason"] in {"BadRequest", "Expired"}
    assert (await api.get(f"{SKILLS}?watch=true&limit=4")).status == 400


async def test_a_watch_ends_when_its_time_is_up(api: Any) -> None:
    async with api.lines(f"{SKILLS}?watch=true&timeoutSeconds=1") as lines:
        assert await next_change(lines) is None


async def test_a_stopping_server_ends_watches_cleanly_and_opens_none(door: Any) -> None:
    async with door.api.lines(f"{SKILLS}?watch=true") as lines:
        waiting = asyncio.create_task(next_change(lines))
        await asyncio.sleep(0)
        while not door.streams.open_count:
            await asyncio.sleep(0.005)
        door.streams.close_all()
        assert await waiting is None
    answer = await door.api.get(f"{SKILLS}?watch=true")
    assert (answer.status, answer.json()["reason"]) == (503, "Unavailable")


async def test_a_client_that_leaves_frees_its_stream(door: Any) -> None:
    async with door.api.lines(f"{SKILLS}?watch=true") as lines:
        assert lines.status == 200
        while not door.streams.open_count:
            await asyncio.sleep(0.005)
        lines.answer.close()
        async with asyncio.timeout(20):
            while door.streams.open_count:
                await asyncio.sleep(0.005)


def parsed(block: bytes) -> dict[str, str]:
    """One server-sent event's fields."""
    pairs = (line.split(": ", 1) for line in block.decode().splitlines())
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


async def sse(lines: Any, count: int) -> list[dict[str, str]]:
    async with asyncio.timeout(30):
        return [parsed((await lines.answer.content.readuntil(b"\n\n")).strip(b"\n")) for _ in range(count)]


async def test_a_browser_follows_and_goes_on_where_it_was_cut(api: Any) -> None:
    made = (await api.post(SKILLS, skill("a"))).json()
    async with api.lines(f"{SKILLS}?watch=true", accept="text/event-stream") as lines:
        assert lines.answer.headers["content-type"].startswith("text/event-stream")
        assert lines.answer.headers["cache-control"] == "no-cache"
        first, place = await sse(lines, 2)
        assert (first["event"], json.loads(first["data"])) == ("ADDED", made)
        assert "id" not in first, "amid the list there is nothing to go on from"
        assert place["event"] == "BOOKMARK"
        assert int(place["id"]) >= int(made["metadata"]["resourceVersion"])
        changed = (await api.patch(f"{SKILLS}/a", {"spec": {"ownerTeam": "x"}})).json()
        [event] = await sse(lines, 1)
        assert (event["event"], event["id"]) == ("MODIFIED", changed["metadata"]["resourceVersion"])
        assert json.loads(event["data"]) == changed
    missed = (await api.post(SKILLS, skill("b"))).json()
    again = {"accept": "text/event-stream", "last-event-id": event["id"]}
    async with api.lines(f"{SKILLS}?watch=true&resourceVersion=1", **again) as lines:
        [event] = await sse(lines, 1)
        assert (event["event"], json.loads(event["data"])) == ("ADDED", missed)


async def test_a_browser_that_lost_its_place_is_told_to_begin_anew(api: Any) -> None:
    headers = {"accept": "text/event-stream", "last-event-id": "9" * 17}
    async with api.lines(f"{SKILLS}?watch=true", **headers) as lines:
        [event] = await sse(lines, 1)
        assert (event["event"], event["id"]) == ("ERROR", "")
        assert json.loads(event["data"])["reason"] == "Expired"
        assert await lines.answer.content.read() == b""
    headers["last-event-id"] = "soon"
    answer = await api.get(f"{SKILLS}?watch=true", headers=headers)
    assert answer.status == 400
