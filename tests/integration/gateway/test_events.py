"""Events of objects: told, counted, listed, followed."""

import asyncio
import time
from typing import Any

import pytest
from tests.integration.gateway.conftest import Door
from tests.integration.gateway.test_access import key_for

from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.history.following import changes
from aspora.records.happenings import HappeningFilter, HappeningPage, Happenings
from aspora.records.rows import Cursor
from aspora.records.wakeups import HAPPENED

EVENTS = "/api/v1/domains/default/events"


def event(name: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "kind": "Event",
        "regarding": {"kind": "Skill", "name": name, "domain": "default", "uid": "u-1"},
        "reason": "RevisionFailed",
        "message": "its artifact is gone",
        "type": "Warning",
        "reportingController": "skill",
        **more,
    }


async def test_the_same_again_is_counted_and_anything_else_is_another_event(api: Any) -> None:
    made = await api.post(EVENTS, event())
    assert made.status == 201, made.body
    first = made.json()
    assert first["kind"] == "Event"
    assert first["count"] == 1
    assert first["regarding"] == event()["regarding"]
    assert first["metadata"]["domain"] == "default"
    again = await api.post(EVENTS, event())
    assert (again.status, again.json()["count"]) == (200, 2)
    assert again.json()["metadata"]["name"] == first["metadata"]["name"]
    assert again.json()["firstTimestamp"] == first["firstTimestamp"]
    for other in (event("two"), event(reason="Other"), event(message="x"), event(reportingController="gc")):
        assert (await api.post(EVENTS, other)).status == 201
    listed = (await api.get(EVENTS)).json()
    assert len(listed["items"]) == 5
    assert [i["count"] for i in listed["items"] if i["metadata"]["name"] == first["metadata"]["name"]] == [2]


async def test_told_by_many_at_once_it_is_one_row(api: Any) -> None:
    answers = await asyncio.gather(*(api.post(EVENTS, event()) for _ in range(20)))
    assert sorted(a.status for a in answers) == [200] * 19 + [201]
    [only] = (await api.get(EVENTS)).json()["items"]
    assert only["count"] == 20


async def test_after_ten_minutes_or_a_day_a_new_row_begins(door: Door, database: Database) -> None:
    await door.api.post(EVENTS, event())
    for age in ("last_at = now() - interval '11 minutes'", "first_at = now() - interval '25 hours'"):
        async with database.connection() as connection:
            await connection.execute(f"update events set {age}".encode())
        answer = await door.api.post(EVENTS, event())
        assert (answer.status, answer.json()["count"]) == (201, 1), age


async def test_events_of_cluster_wide_objects(api: Any) -> None:
    told = {**event(), "regarding": {"kind": "Model", "name": "gpt-4o.mini"}}
    made = await api.post("/api/v1/events", told)
    assert made.status == 201, made.body
    assert "domain" not in made.json()["metadata"]
    await api.post(EVENTS, event())
    everywhere = (await api.get("/api/v1/events")).json()["items"]
    assert [i["regarding"]["kind"] for i in everywhere] == ["Skill", "Model"]
    assert len((await api.get(EVENTS)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"regarding": None}, ["regarding"]),
        ({"regarding": {"kind": "skill", "name": "A b"}}, ["regarding.kind", "regarding.name"]),
        ({"regarding": {"kind": "Skill", "name": "a", "domain": "other"}}, ["regarding.domain"]),
        ({"regarding": {"kind": "Skill", "name": "a", "uid": 5, "x": 1}}, ["regarding.x", "regarding.uid"]),
        ({"reason": "not camel", "type": "Error"}, ["reason", "type"]),
        ({"reason": "", "reportingController": None}, ["reason", "reportingController"]),
        ({"message": "m" * 1025}, ["message"]),
        ({"message": 5, "reportingController": "a\nb", "odd": 1}, ["odd", "reportingController", "message"]),
        ({"kind": "Skill"}, ["kind"]),
    ],
)
async def test_a_wrong_event_is_refused_with_every_problem(api: Any, change: Any, fields: list[str]) -> None:
    answer = await api.post(EVENTS, {**event(), **change})
    assert answer.status == 422, answer.body
    assert [d["field"] for d in answer.json()["details"]] == fields


async def test_who_may_tell_and_who_may_look(api: Any) -> None:
    await api.post("/api/v1/domains", {"metadata": {"name": "fraud"}, "spec": {}})
    await api.post(EVENTS, event())
    viewer = await key_for(api, "vic", role="viewer", domain="default")
    controller = await key_for(api, "ctl", role="system-controller", domain=None)
    stranger = await key_for(api, "sam", role="viewer", domain="fraud")
    assert (await viewer.post(EVENTS, event())).status == 403
    assert (await controller.post(EVENTS, event())).status == 200
    assert len((await viewer.get(EVENTS)).json()["items"]) == 1
    assert (await viewer.get("/api/v1/events")).json()["items"]
    assert (await stranger.get(EVENTS)).status == 404
    assert (await stranger.get("/api/v1/events")).json()["items"] == []
    assert (await stranger.post(EVENTS, event())).status == 404
    runner = await key_for(api, "run", role="end-user", domain="default")
    assert (await runner.get(EVENTS)).status == 403
    assert (await runner.get("/api/v1/events?watch=true")).status == 403
    assert (await api.put(EVENTS, event())).json()["reason"] == "MethodNotAllowed"


async def test_a_watch_tells_what_there_is_and_then_each_change(api: Any) -> None:
    await api.post(EVENTS, event("old"))
    async with api.lines(f"{EVENTS}?watch=true") as lines:
        first = await lines.next()
        assert (first["type"], first["object"]["regarding"]["name"]) == ("ADDED", "old")
        await api.post(EVENTS, event("new"))
        new = await lines.next()
        assert (new["type"], new["object"]["regarding"]["name"]) == ("ADDED", "new")
        await api.post(EVENTS, event("new"))
        again = await lines.next()
        assert (again["type"], again["object"]["count"]) == ("MODIFIED", 2)
    version = new["object"]["metadata"]["resourceVersion"]
    async with api.lines(f"{EVENTS}?watch=true&resourceVersion={version}") as lines:
        resumed = await lines.next()
        assert resumed == again, "from where it broke off, and nothing twice"


async def test_what_a_watch_has_listed_is_not_told_again_when_an_older_transaction_ends(
    api: Any, database: Database
) -> None:
    async with database.connection() as open_one:
        await open_one.execute(b"begin")
        await open_one.execute(b"select pg_current_xact_id()")
        await api.post(EVENTS, event("old"))
        async with api.lines(f"{EVENTS}?watch=true") as following:
            assert (await following.next())["object"]["regarding"]["name"] == "old"
            await open_one.execute(b"commit")
            await api.post(EVENTS, event("new"))
            assert (await following.next())["object"]["regarding"]["name"] == "new"
            await api.post(EVENTS, event("old"))
            again = (await following.next())["object"]
            assert (again["regarding"]["name"], again["count"]) == ("old", 2)


async def test_a_watch_from_a_list_misses_nothing_of_many_writers(api: Any) -> None:
    listed = (await api.get("/api/v1/events")).json()
    version = listed["metadata"]["resourceVersion"]
    names = [f"s{i}" for i in range(40)]

    async def tell(some: list[str]) -> None:
        for name in some:
            assert (await api.post(EVENTS, event(name))).status == 201

    async with api.lines(f"/api/v1/events?watch=true&resourceVersion={version}") as lines:
        telling = asyncio.gather(*(tell(names[i::4]) for i in range(4)))
        seen = [(await lines.next(timeout_seconds=20))["object"]["regarding"]["name"] for _ in names]
        await telling
    assert sorted(seen) == sorted(names)


async def test_a_watch_selects_and_prints_tables(api: Any) -> None:
    path = f"{EVENTS}?watch=true&fieldSelector=regarding.name%3Dtwo,type%3DWarning"
    async with api.lines(path, accept="application/json;as=Table") as lines:
        await api.post(EVENTS, event("one"))
        await api.post(EVENTS, event("two"))
        line = await lines.next()
    [row] = line["object"]["rows"]
    assert row["cells"][1:6] == ["Warning", "RevisionFailed", "skill/two", "1", "its artifact is gone"]


async def test_pages_selectors_and_wrong_queries(api: Any) -> None:
    for i in range(5):
        await api.post(EVENTS, event(f"s{i}", type="Normal" if i % 2 else "Warning"))
    names: list[str] = []
    token = ""
    while True:
        page = (await api.get(f"{EVENTS}?limit=2{token}")).json()
        names += [i["regarding"]["name"] for i in page["items"]]
        if "continue" not in page["metadata"]:
            break
        token = f"&continue={page['metadata']['continue']}"
    assert names == ["s4", "s3", "s2", "s1", "s0"]
    chosen = (await api.get(f"{EVENTS}?fieldSelector=type%3DNormal")).json()["items"]
    assert [i["regarding"]["name"] for i in chosen] == ["s3", "s1"]
    for bad in (
        "?fieldSelector=message%3Dx",
        "?fieldSelector=type!%3DNormal",
        "?fieldSelector=type%3Da,type%3Db",
        "?continue=x",
        "?resourceVersion=1-1",
        "?watch=true&limit=1",
        "?watch=true&resourceVersion=x",
        "?watch=true&resourceVersion=5",
        "?labelSelector=a%3Db",
    ):
        assert (await api.get(f"{EVENTS}{bad}")).json()["reason"] == "BadRequest", bad
    lost = await api.get(f"{EVENTS}?watch=true&resourceVersion=999999999999-1")
    assert (lost.status, lost.json()["reason"]) == (410, "Expired")


class Watched(Happenings):
    """Remembers from where it was read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.places: list[Cursor] = []

    async def tail(self, wanted: HappeningFilter, *, after: Cursor, limit: int) -> HappeningPage:
        self.places.append(after)
        return await super().tail(wanted, after=after, limit=limit)


def place_of(obj: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in obj["metadata"]["resourceVersion"].split("-"))


async def test_a_watch_reads_nothing_again_that_its_filter_dropped(api: Any, database: Database, dsn: str) -> None:
    happenings, listener, stop = Watched(database), Listener(dsn, [HAPPENED]), asyncio.Event()
    listening = asyncio.create_task(listener.run(stop))
    await listener.wait_connected(10)
    wanted = HappeningFilter(reason="Wanted")
    begin, _ = await happenings.place()
    stream = changes(happenings, listener, wanted, since=begin, monotonic=time.monotonic, bookmark_seconds=0)
    for number in range(3):
        told = (await api.post(EVENTS, event(reason=f"Dropped{number}"))).json()
        while (bookmark := await anext(stream))["type"] == "BOOKMARK":
            if place_of(bookmark["object"]) > place_of(told):
                break
        seen = len(happenings.places)
        await anext(stream)
        assert (happenings.places[seen].xid, happenings.places[seen].id) > place_of(told)
    await api.post(EVENTS, event(reason="Wanted"))
    while (change := await anext(stream))["type"] == "BOOKMARK":
        pass
    assert change["object"]["reason"] == "Wanted"
    page = await happenings.tail(HappeningFilter(), after=happenings.places[-1], limit=100)
    assert [row["reason"] for row in page.rows] == ["Wanted"]
    await stream.aclose()
    stop.set()
    await listening


async def test_an_open_transaction_holds_the_place_back(api: Any, database: Database) -> None:
    """What it may still tell lies behind no place; nor does what one of another database of the server may."""
    happenings = Happenings(database)
    begin, _ = await happenings.place()
    async with database.transaction() as connection:
        own = await (await connection.execute("select pg_current_xact_id()::text::bigint as xid")).fetchone()
        assert own is not None
        await api.post(EVENTS, event(reason="Later"))
        early = await happenings.tail(HappeningFilter(), after=begin, limit=100)
        assert early.rows == []
        again = await happenings.tail(HappeningFilter(), after=early.place, limit=100)
        assert again.rows == []
        assert early.place.xid <= again.place.xid <= own["xid"]
    async with asyncio.timeout(60):
        while not (late := await happenings.tail(HappeningFilter(reason="Later"), after=again.place, limit=1)).rows:
            pass
    assert [row["reason"] for row in late.rows] == ["Later"]
