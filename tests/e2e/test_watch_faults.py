"""PostgreSQL dies under writers and watchers, and every acknowledged version is seen once, in one order, with one body.

A few writers and watchers and one kill by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) makes it 8 writers of
2000 writes, 50 watchers and several kills.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from .server import Aspora, started

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
WRITERS, WRITES, WATCHERS, KILLS = (8, 2000, 50, 4) if IS_FULL else (3, 40, 5, 1)
PATIENCE_SECONDS = 1500 if IS_FULL else 100
DOMAINS = "/api/v1/domains"
LABEL = "fault-test"


def version_of(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])


def digest(obj: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Watched:
    """What one watcher saw.

    Attributes:
        events: Version and digest of each event, in the order in which they came.
        covered: Versions up to which a list stood in for events: (from, to], with the objects that it showed.
        places: For each list, its version and the version of each object in it, by name.
        last: Version of the newest event or list.
    """

    events: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    covered: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    listed: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    places: list[tuple[int, dict[str, int]]] = field(default_factory=list[tuple[int, dict[str, int]]])
    relists: int = 0
    last: int = 0

    def take_list(self, version: int, items: list[Any]) -> None:
        """A list stands in for every change since the last that was seen."""
        assert version >= self.last
        self.covered.append((self.last, version))
        self.listed += [(version_of(obj), digest(obj)) for obj in items]
        self.places.append((version, {obj["metadata"]["name"]: version_of(obj) for obj in items}))
        self.last = version


class Site:
    """An Aspora, its database's process and a session."""

    def __init__(self, aspora: Aspora, session: aiohttp.ClientSession) -> None:
        self._aspora = aspora
        self._session = session
        self._url = aspora.url

    def kill_database(self) -> None:
        """kill -9 of the very process that this test's own Aspora started."""
        [pid_file] = self._aspora.data_dir.glob("*/postmaster.pid")
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)

    async def write(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body; 0 when there was no answer."""
        try:
            async with self._session.request(method, self._url + path, json=body) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def list(self) -> tuple[int, list[Any]]:
        """The version and the objects of one snapshot."""
        while True:
            status, page = await self.write("GET", f"{DOMAINS}?labelSelector={LABEL}&limit=5000", None)
            if status == 200:
                assert "continue" not in page["metadata"]
                return version_of(page), page["items"]
            await asyncio.sleep(0.1)

    async def watch(self, since: int) -> Any:
        """Events until the stream breaks; each as (type, object)."""
        path = f"{DOMAINS}?watch=true&labelSelector={LABEL}&resourceVersion={since}"
        try:
            async with self._session.get(self._url + path) as answer:
                if answer.status != 200:
                    return
                async for line in answer.content:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError):
            return


async def write_all(site: Site, writer: int, acknowledged: dict[int, tuple[str, str]]) -> None:
    """One object, changed over and over, from the version that is there; what was acknowledged is remembered."""
    name = f"w{writer}"
    obj: Any = None
    done = 0
    while done < WRITES:
        if obj is None:
            status, found = await site.write("GET", f"{DOMAINS}/{name}", None)
            if status == 404:
                fresh = {"metadata": {"name": name, "labels": {LABEL: "yes"}}, "spec": {"description": "0"}}
                status, found = await site.write("POST", DOMAINS, fresh)
                if status == 201:
                    acknowledged[version_of(found)] = name, digest(found)
            if status not in {200, 201}:
                await asyncio.sleep(0.05)
                continue
            obj = found
        changed = {**obj, "spec": {**obj["spec"], "description": f"{done}"}}
        status, answer = await site.write("PUT", f"{DOMAINS}/{name}", changed)
        if status == 200:
            if version_of(answer) != version_of(obj):
                assert version_of(answer) not in acknowledged, "one version was given out twice"
                acknowledged[version_of(answer)] = name, digest(answer)
            obj, done = answer, done + 1
        else:
            # Unknown, or another try of ours that did take effect: read again.
            assert status in {0, 409, 503, 504}, answer
            obj = None
            await asyncio.sleep(0.05)


async def watch_all(site: Site, seen: Watched, until: asyncio.Future[int]) -> None:
    """List, watch, and after Expired again, until everything that was written has been seen."""
    seen.take_list(*await site.list())
    while not (until.done() and seen.last >= until.result()):
        async for kind, obj in site.watch(seen.last):
            if kind == "ERROR":
                assert obj["reason"] in {"Expired", "Unavailable", "Timeout"}, obj
                if obj["reason"] == "Expired":
                    seen.relists += 1
                    seen.take_list(*await site.list())
                break
            if kind != "BOOKMARK":
                seen.events.append((version_of(obj), digest(obj)))
            assert version_of(obj) >= seen.last
            seen.last = version_of(obj)
            if until.done() and seen.last >= until.result():
                return
        await asyncio.sleep(0.05)


async def kill_now_and_then(site: Site, acknowledged: dict[int, tuple[str, str]]) -> None:
    """Each kill when a further part of the writes is done."""
    for kill in range(1, KILLS + 1):
        while len(acknowledged) < WRITERS * WRITES * kill // (KILLS + 1):
            await asyncio.sleep(0.01)
        site.kill_database()


def check(seen: Watched, acknowledged: Mapping[int, tuple[str, str]], bodies: dict[int, str]) -> None:
    """One watcher's story against what was acknowledged; `bodies` are what all of them saw."""
    versions = [version for version, _ in seen.events]
    assert versions == sorted(set(versions)), "out of order, or twice"
    for version, body in seen.events + seen.listed:
        assert bodies.setdefault(version, body) == body, f"version {version} has two bodies"
    heard = set(versions)
    for version, (name, body) in acknowledged.items():
        for place, objects in seen.places:
            assert place < version or objects.get(name, 0) >= version, f"a list lacks acknowledged version {version}"
        assert bodies.get(version, body) == body, f"version {version} has two bodies"
        if any(begin < version <= end for begin, end in seen.covered):
            assert version not in heard, f"version {version} came by a list and again as an event"
        else:
            assert version in heard, f"acknowledged version {version} was never seen"


@pytest.mark.timeout(PATIENCE_SECONDS + 120)
async def test_a_killed_database_loses_and_repeats_nothing() -> None:
    with started() as aspora:
        headers = {"Authorization": f"Bearer {aspora.key}"}
        limits = aiohttp.ClientTimeout(total=None, sock_read=60)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            aiohttp.ClientSession(headers=headers, timeout=limits, connector=connector) as session,
        ):
            site = Site(aspora, session)
            acknowledged: dict[int, tuple[str, str]] = {}
            all_seen = [Watched() for _ in range(WATCHERS)]
            until: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            watching = [asyncio.create_task(watch_all(site, seen, until)) for seen in all_seen]
            killing = asyncio.create_task(kill_now_and_then(site, acknowledged))
            await asyncio.gather(*(write_all(site, writer, acknowledged) for writer in range(WRITERS)))
            await killing
            until.set_result(max(acknowledged))
            # The last change must be seen, and a watcher that is past it already needs one more to notice.
            await site.write("POST", DOMAINS, {"metadata": {"name": "end", "labels": {LABEL: "yes"}}, "spec": {}})
            await asyncio.gather(*watching)
        assert len(acknowledged) >= WRITERS * WRITES - KILLS * WRITERS
        bodies: dict[int, str] = {}
        for seen in all_seen:
            check(seen, acknowledged, bodies)
        # Where two of them heard the same stretch, they heard the same.
        longest = max((seen.events for seen in all_seen), key=len)
        order = [version for version, _ in longest]
        assert order == sorted(order)
        assert sum(seen.relists for seen in all_seen) >= KILLS, "the kills were not felt"
