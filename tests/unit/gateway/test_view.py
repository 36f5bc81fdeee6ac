"""The in-memory view: true, ordered, and never trusted when stale."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from aspora.gateway.objects.view import ObjectView
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Expired, NotFound, StatusError, Unavailable
from aspora.store.interface import Event, Key, Page
from aspora.telemetry.metrics import Metrics


def role(name: str, version: int, *, domain: str | None = None, note: str = "") -> dict[str, Any]:
    place = {"domain": domain} if domain else {}
    return {"kind": "Role", "metadata": {"name": name, "resourceVersion": str(version), **place}, "spec": {"d": note}}


class ScriptedStore:
    """Lists what the test puts there, and hands on what the test sends."""

    def __init__(self) -> None:
        self.objects: list[Mapping[str, Any]] = []
        self.version = 10
        self.events: asyncio.Queue[Event | StatusError] = asyncio.Queue()
        self.watched_from: asyncio.Queue[str] = asyncio.Queue()
        self.reads: list[str] = []
        self.error: StatusError | None = None

    async def get(self, key: Key) -> Mapping[str, Any]:
        self.reads.append(key.name)
        if self.error is not None:
            raise self.error
        for obj in self.objects:
            if (obj["metadata"].get("domain") or "", obj["metadata"]["name"]) == (key.domain, key.name):
                return obj
        raise NotFound("no such object")

    async def list(self, kind: str, *, continue_token: str | None = None, **_: Any) -> Page:
        if self.error is not None:
            raise self.error
        half = len(self.objects) // 2
        if continue_token is None and half:
            return Page(tuple(self.objects[:half]), str(self.version), "more")
        return Page(tuple(self.objects[half if continue_token else 0 :]), str(self.version))

    async def watch(self, kind: str, *, since: str, **_: Any) -> AsyncGenerator[Event]:
        self.watched_from.put_nowait(since)
        while True:
            event = await self.events.get()
            if isinstance(event, StatusError):
                raise event
            yield event
            self.events.task_done()

    async def write(self, writes: Any) -> Any:
        raise NotImplementedError


class Setting:
    """A view that runs."""

    def __init__(self) -> None:
        self.store = ScriptedStore()
        self.age_seconds = 0.0
        self.stop = asyncio.Event()
        self.view = ObjectView(
            store=self.store,
            tail_age_seconds=lambda: self.age_seconds,
            metrics=Metrics(),
            kinds=("Role",),
            backoff=Backoff(base_seconds=0.001, max_seconds=0.001),
        )

    async def start(self) -> None:
        self.task = asyncio.create_task(self.view.run(self.stop))
        await self.view.wait_synced()
        await self.store.watched_from.get()

    async def send(self, kind: str, obj: Mapping[str, Any]) -> None:
        self.store.events.put_nowait(Event(kind, obj))  # type: ignore[arg-type]
        await self.store.events.join()

    async def names(self) -> list[str]:
        return [o["metadata"]["name"] for o in await self.view.list("Role")]


@pytest.fixture
async def setting() -> AsyncGenerator[Setting]:
    made = Setting()
    yield made
    made.stop.set()
    await made.task


async def test_reads_come_from_memory_while_fresh(setting: Setting) -> None:
    setting.store.objects = [role("a", 1), role("b", 2, domain="d"), role("c", 3)]
    await setting.start()
    assert await setting.names() == ["a", "c", "b"]
    assert [o["metadata"]["name"] for o in await setting.view.list("Role", domain="d")] == ["b"]
    assert await setting.view.get("Role", "b") is None
    assert (await setting.view.get("Role", "b", domain="d") or {})["metadata"]["resourceVersion"] == "2"
    await setting.send("ADDED", role("e", 11))
    await setting.send("MODIFIED", role("a", 12, note="new"))
    await setting.send("DELETED", role("c", 13))
    assert await setting.names() == ["a", "e", "b"]
    assert setting.store.reads == []


async def test_a_stale_view_asks_the_database_and_fails_with_it(setting: Setting) -> None:
    setting.store.objects = [role("a", 1)]
    await setting.start()
    setting.store.objects = [role("a", 5, note="newer")]
    assert setting.view.version_of("Role") is not None
    setting.age_seconds = 1.1
    assert setting.view.version_of("Role") is None
    assert (await setting.view.get("Role", "a") or {})["spec"] == {"d": "newer"}
    assert await setting.view.get("Role", "zz") is None
    assert setting.store.reads == ["a", "zz"]
    setting.store.error = Unavailable("gone")
    with pytest.raises(Unavailable):
        await setting.view.get("Role", "a")
    with pytest.raises(Unavailable):
        await setting.view.list("Role")
    with pytest.raises(Unavailable, match=r"1\.1 s old"):
        await setting.view.require_fresh()


async def test_after_expired_it_lists_again_and_what_vanished_is_gone(setting: Setting) -> None:
    setting.store.objects = [role("a", 1), role("b", 2)]
    await setting.start()
    setting.store.objects, setting.store.version = [role("b", 2), role("c", 20)], 20
    setting.store.events.put_nowait(Expired("too old"))
    assert await setting.store.watched_from.get() == "20"
    assert await setting.names() == ["b", "c"]


async def test_without_a_store_the_view_is_out_of_step_until_it_heals(setting: Setting) -> None:
    setting.store.objects = [role("a", 1)]
    await setting.start()
    setting.store.error = Unavailable("gone")
    setting.store.events.put_nowait(Unavailable("gone"))
    async with asyncio.timeout(30):
        while setting.view.age_seconds() < 1:
            await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await setting.view.get("Role", "a")
    setting.store.error = None
    await setting.store.watched_from.get()
    assert await setting.names() == ["a"]


async def test_own_writes_are_seen_at_once_and_late_news_does_not_undo_them(setting: Setting) -> None:
    setting.store.objects = [role("a", 1)]
    await setting.start()
    before = setting.view.version_of("Role")
    setting.view.observe("Role", role("a", 15, note="mine"), deleted=False)
    assert setting.view.version_of("Role") != before
    await setting.send("MODIFIED", role("a", 12, note="older"))
    assert (await setting.view.get("Role", "a") or {})["spec"] == {"d": "mine"}
    setting.view.observe("Role", role("a", 17), deleted=True)
    await setting.send("MODIFIED", role("a", 15, note="mine"))
    assert await setting.view.get("Role", "a") is None
    await setting.send("DELETED", role("a", 17))
    setting.view.observe("Role", role("a", 18, note="again"), deleted=False)
    await setting.send("ADDED", role("a", 18, note="again"))
    assert await setting.names() == ["a"]
    setting.view.observe("Skill", role("x", 19), deleted=False)


async def test_a_late_deletion_does_not_remove_what_was_made_anew(setting: Setting) -> None:
    setting.store.objects = [role("a", 1)]
    await setting.start()
    setting.view.observe("Role", role("a", 16), deleted=True)
    setting.view.observe("Role", role("a", 18, note="anew"), deleted=False)
    await setting.send("DELETED", role("a", 16))
    assert (await setting.view.get("Role", "a") or {})["spec"] == {"d": "anew"}


async def test_a_relist_keeps_what_this_process_wrote_meanwhile(setting: Setting) -> None:
    setting.store.objects = [role("a", 1), role("b", 2)]
    await setting.start()
    setting.view.observe("Role", role("c", 25, note="mine"), deleted=False)
    setting.view.observe("Role", role("b", 26), deleted=True)
    setting.store.version = 20
    setting.store.events.put_nowait(Expired("too old"))
    await setting.store.watched_from.get()
    assert await setting.names() == ["a", "c"]


async def test_a_write_observed_late_does_not_raise_what_another_process_deleted(setting: Setting) -> None:
    setting.store.objects = [role("a", 1), role("b", 2)]
    await setting.start()
    await setting.send("MODIFIED", role("a", 15, note="mine"))
    await setting.send("DELETED", role("a", 16))
    setting.view.observe("Role", role("a", 15, note="mine"), deleted=False)
    assert await setting.names() == ["b"]
    await setting.send("BOOKMARK", {"metadata": {"resourceVersion": "30"}})
    setting.view.observe("Role", role("a", 29), deleted=False)
    assert await setting.names() == ["b"]
    setting.view.observe("Role", role("a", 31), deleted=False)
    assert await setting.names() == ["a", "b"]


async def test_after_the_watch_broke_own_writes_count_from_the_new_list(setting: Setting) -> None:
    setting.store.objects, setting.store.version = [role("a", 1)], 40
    await setting.start()
    setting.store.objects, setting.store.version = [role("a", 1)], 20
    setting.store.events.put_nowait(Expired("put back from a copy"))
    assert await setting.store.watched_from.get() == "20"
    setting.view.observe("Role", role("b", 21), deleted=False)
    assert await setting.names() == ["a", "b"]
