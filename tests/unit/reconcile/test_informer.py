import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aspora.client.interface import Client, ObjectList, WatchEvent, Wire
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Expired, Unavailable
from aspora.reconcile.informer import Informer


def thing(name: str, version: int) -> dict[str, Any]:
    return {"kind": "Thing", "metadata": {"name": name, "domain": "d", "resourceVersion": str(version)}}


class Script:
    """Plays prepared lists and watch streams, in order; an exception in their place is raised."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches = lists, watches
        self.since: list[str] = []

    async def list(self, kind: str, **_: Any) -> ObjectList:
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(self, kind: str, *, since: str, **_: Any) -> AsyncIterator[WatchEvent]:
        self.since.append(since)
        for step in self.watches.pop(0) if self.watches else [asyncio.Event()]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step


def page(*objects: Wire, version: str) -> ObjectList:
    return ObjectList(objects, version)


async def run_until(informer: Informer, heard: list[Any], count: int) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(informer.run(stop))
    try:
        async with asyncio.timeout(30):
            while len(heard) < count:
                await asyncio.sleep(0.001)
    finally:
        stop.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def make(script: Script) -> tuple[Informer, list[tuple[str, str]]]:
    client: Client = script  # type: ignore[assignment]
    informer = Informer(client, "Thing", backoff=Backoff(base_seconds=0.001, max_seconds=0.002))
    heard: list[tuple[str, str]] = []
    informer.listen(lambda name, obj: heard.append((name.name, obj["metadata"]["resourceVersion"])))
    return informer, heard


async def test_lists_then_follows_and_takes_up_a_stream_where_it_stood() -> None:
    script = Script(
        [page(thing("a", 3), version="5")],
        [
            [WatchEvent("MODIFIED", thing("a", 6))],
            [WatchEvent("DELETED", thing("a", 7)), WatchEvent("ADDED", thing("b", 8))],
        ],
    )
    informer, heard = make(script)
    await run_until(informer, heard, 4)
    assert heard == [("a", "3"), ("a", "6"), ("a", "7"), ("b", "8")]
    assert script.since[:2] == ["5", "6"]
    assert informer.get("a", domain="d") is None
    assert [o["metadata"]["name"] for o in informer.objects()] == ["b"]


@pytest.mark.parametrize("trouble", [Expired("history is gone"), Unavailable("no server")])
async def test_after_any_doubt_it_lists_again_and_tells_what_vanished(trouble: Exception) -> None:
    script = Script([page(thing("a", 1), version="1"), trouble, page(thing("b", 9), version="9")], [[trouble]])
    informer, heard = make(script)
    await run_until(informer, heard, 3)
    assert heard == [("a", "1"), ("a", "1"), ("b", "9")]
    assert informer.get("a", domain="d") is None


async def test_a_bookmark_moves_the_version_and_tells_nobody() -> None:
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "40"}})
    script = Script([page(version="5")], [[bookmark], [WatchEvent("ADDED", thing("c", 41))]])
    informer, heard = make(script)
    await run_until(informer, heard, 1)
    assert heard == [("c", "41")]
    assert script.since[:2] == ["5", "40"]


async def test_the_stop_ends_a_watch_that_says_nothing() -> None:
    silent = asyncio.Event()
    informer, _ = make(Script([page(version="1")], [[silent]]))
    stop = asyncio.Event()
    task = asyncio.create_task(informer.run(stop))
    await informer.synced.wait()
    stop.set()
    async with asyncio.timeout(30):
        await task


async def test_an_index_follows_the_objects() -> None:
    def labelled(name: str, version: int, team: str) -> dict[str, Any]:
        obj = thing(name, version)
        return {**obj, "metadata": {**obj["metadata"], "labels": {"team": team}}}

    script = Script(
        [page(labelled("a", 1, "x"), labelled("b", 2, "x"), version="2"), page(labelled("b", 6, "y"), version="6")],
        [
            [
                WatchEvent("MODIFIED", labelled("a", 3, "y")),
                WatchEvent("ADDED", labelled("c", 4, "y")),
                WatchEvent("DELETED", labelled("c", 5, "y")),
                Expired("history is gone"),
            ]
        ],
    )
    client: Client = script  # type: ignore[assignment]
    informer = Informer(client, "Thing", spread_seconds=0.0)
    informer.add_index("team", lambda obj: [obj["metadata"]["labels"]["team"]])
    seen: list[tuple[list[str], list[str]]] = []

    def note(*_: Any) -> None:
        seen.append(
            (
                sorted(o["metadata"]["name"] for o in informer.by_index("team", "x")),
                sorted(o["metadata"]["name"] for o in informer.by_index("team", "y")),
            )
        )

    informer.listen(note)
    await run_until(informer, seen, 7)
    assert seen[1:5] == [(["a", "b"], []), (["b"], ["a"]), (["b"], ["a", "c"]), (["b"], ["a"])]
    assert seen[-1] == ([], ["b"])


async def test_informers_that_lose_history_together_do_not_list_together() -> None:
    script = Script([page(version="1"), page(thing("a", 2), version="2")], [[Expired("history is gone")]])
    client: Client = script  # type: ignore[assignment]
    informer = Informer(client, "Thing", spread_seconds=0.2, rand=lambda: 0.5)
    heard: list[Any] = []
    informer.listen(lambda name, _: heard.append(name))
    began = asyncio.get_running_loop().time()
    await run_until(informer, heard, 1)
    assert asyncio.get_running_loop().time() - began >= 0.1
