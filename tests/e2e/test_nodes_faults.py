"""Two gateways, two executors, two controllers over one database, ended and started again under load.

One of each by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) makes it all of them, many times.
"""

import asyncio
import os
import random
import signal
import urllib.request
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from tests.e2e.cluster import Answer, Cluster, Node, cluster

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
ROUNDS = 5 if IS_FULL else 1
SEED = int(os.environ.get("ASPORA_TEST_SEED", "0")) or (random.SystemRandom().randrange(1, 2**31) if IS_FULL else 218)
CLIENTS = 4
PAUSE_SECONDS = 0.0 if IS_FULL else 0.6
"""Of a client after each answer: two cores that are kept busy by requests start a node in half a minute."""
ENDED = {"Succeeded", "Failed", "Cancelled"}


class Load:
    """Clients that post one after the other, and what was answered."""

    def __init__(self, site: Cluster, *, first: int, resends: bool) -> None:
        self._site = site
        self._resends = resends
        self._chance = random.Random(SEED + first)
        self._next = first
        self._stop = asyncio.Event()
        self.accepted: dict[str, int] = {}
        self.broken = 0

    async def run(self) -> None:
        """Post until told to stop."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self._client())

    def stop(self) -> None:
        self._stop.set()

    async def _client(self) -> None:
        while not self._stop.is_set():
            n, self._next = self._next, self._next + 1
            answer = await self._post(n)
            assert answer.status in {200, 201, 202}, (n, answer.body)
            name = answer.body["metadata"]["name"]
            assert name not in self.accepted, "two requests, one execution"
            self.accepted[name] = n
            await asyncio.sleep(PAUSE_SECONDS)

    async def _post(self, n: int) -> Answer:
        seconds = self._chance.uniform(0, 0.4)
        while True:
            try:
                return await self._site.count(n, seconds=seconds, wait=15 * (n % 2), key=f"key-{n}")
            except aiohttp.ClientError:
                # The connection broke: nobody knows what became of the request, so it is sent again under its key.
                self.broken += 1
                assert self._resends, f"request {n} was lost, seed {SEED}\n{self._site.logs()}"


@pytest.fixture
async def site(dsn: str) -> AsyncGenerator[Cluster]:
    async with cluster(dsn) as made:
        await made.start_all(gateways=2, executors=2, controllers=2)
        await made.apply_count()
        yield made


def victims(site: Cluster) -> list[Node]:
    """Which nodes are ended in one round, one after the other."""
    return site.nodes if IS_FULL else [site.those(role)[0] for role in ("gateway", "executor", "controllers")]


async def wait_end(site: Cluster, name: str) -> Any:
    async with asyncio.timeout(150):
        while True:
            answer = await site.call("GET", f"/api/v1/domains/nodes/executions/{name}")
            assert answer.status == 200, answer.body
            if answer.body["status"]["state"] in ENDED:
                return answer.body
            await asyncio.sleep(0.1)


async def require_each_ended_once(site: Cluster, accepted: dict[str, int]) -> None:
    for name, n in accepted.items():
        row = await wait_end(site, name)
        told = f"execution {name}, request {n}, seed {SEED}: {row['status']}"
        assert row["status"]["state"] == "Succeeded", told
        assert row["status"]["result"]["data"] == {"n": n}, told
        assert (await site.event_types(name)).count("Finished") == 1, told


@pytest.mark.timeout(900 * ROUNDS)
async def test_faults_of_nodes_rolling_restart_then_kill_9(site: Cluster) -> None:
    """A stop that is asked for loses no request; a kill loses connections, and no execution."""
    load = Load(site, first=0, resends=False)
    working = asyncio.create_task(load.run())
    for _ in range(ROUNDS):
        for node in victims(site):
            assert await node.restart(signal.SIGTERM) == 0, f"{node.name}\n{site.logs()}"
            assert not working.done() or working.result()
        await site.apply_count(description="Counts, released while nodes restart.")
    load.stop()
    await working
    assert load.broken == 0
    assert len(load.accepted) > 10
    await require_each_ended_once(site, load.accepted)

    load = Load(site, first=100_000, resends=True)
    working = asyncio.create_task(load.run())
    for i in range(ROUNDS):
        for node in victims(site):
            assert await node.restart(signal.SIGKILL) == -signal.SIGKILL
        await site.apply_count(description=f"Counts, released after kills, round {i}.")
    load.stop()
    await working
    await require_each_ended_once(site, load.accepted)

    skill = (await site.call("GET", "/api/v1/domains/nodes/skills/count")).body
    async with asyncio.timeout(90):
        while skill["status"].get("observedGeneration") != skill["metadata"]["generation"]:
            await asyncio.sleep(0.1)
            skill = (await site.call("GET", "/api/v1/domains/nodes/skills/count")).body
    await require_metrics(site)
    await require_few_keys(site)


async def require_metrics(site: Cluster) -> None:
    """Executors and controllers show what their caches did."""
    for node in site.those("executor"):
        port = int(node.arguments[-1])
        text = await asyncio.to_thread(read, f"http://127.0.0.1:{port}/metrics")
        hits = [line for line in text.splitlines() if line.startswith('aspora_cache_hits_total{cache="revisions"}')]
        assert hits, text
        assert await asyncio.to_thread(read, f"http://127.0.0.1:{port}/healthz") == '{"status":"ok"}'


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


async def require_few_keys(site: Cluster) -> None:
    """Each process that was stopped took its key back; each key that a kill left expires."""
    keys = (await site.call("GET", "/api/v1/apikeys")).body["items"]
    assert [key["metadata"]["name"] for key in keys if key["spec"]["owner"] == "admin"] == ["first-admin"]
    system = [key for key in keys if key["spec"].get("ownerKind") == "system"]
    killed = sum(node.role != "gateway" for node in victims(site))
    assert len(system) == 4 + killed * ROUNDS, [key["metadata"] for key in system]
    assert all(key["spec"].get("expiresAt") for key in system)
