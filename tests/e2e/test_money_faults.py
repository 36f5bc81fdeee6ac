"""The money proof: many calls of uncertain cost at two gateways, one of which is killed again and again, under one cap.

Some calls at a time and one kill by default; 1000 and five with `ASPORA_TEST_FAULTS=full` (`make test-faults`).
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psycopg
import pytest
from aiohttp import web
from tests.e2e.cluster import Cluster, cluster
from tests.servers import free_port

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
WIDTH = 1000 if IS_FULL else 60
KILLS = 5 if IS_FULL else 1
CAP_MICRO_USD = 5_000_000
MAX_TOKENS = 1000
LEAST_HOLD_MICRO_USD = 15 * MAX_TOKENS
SAMPLE_SECONDS = 0.05
SETTLE_SECONDS = 60
BODY: Any = {
    "model": "claude-sonnet-4-5",
    "max_tokens": MAX_TOKENS,
    "messages": [{"role": "user", "content": "spend it"}],
}


@dataclass
class Upstream:
    """Charges what it likes, up to the bound, and keeps a bill: what it charged for which of our calls."""

    url: str
    bill: dict[str, int] = field(default_factory=dict[str, int])
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        call = request.headers["X-Client-Request-Id"]
        assert call not in self.bill, "no call goes out twice"
        cost = self.bill[call] = self.chance.randint(1, LEAST_HOLD_MICRO_USD)
        await asyncio.sleep(self.chance.uniform(0, 0.2))
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "cost": cost / 1e6}
        choice = {"index": 0, "message": {"role": "assistant", "content": "spent"}, "finish_reason": "stop"}
        return web.json_response({"id": call, "model": "m", "choices": [choice], "usage": usage})


@asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream]:
    port = free_port()
    made = Upstream(f"http://127.0.0.1:{port}/v1")
    app = web.Application()
    app.router.add_post("/v1/chat/completions", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield made
    finally:
        await runner.cleanup()


@dataclass
class Books:
    """What the ledger says of the key."""

    connection: psycopg.AsyncConnection[Any]

    async def account(self) -> tuple[int, int, int]:
        """Spent, leased, in doubt."""
        cursor = await self.connection.execute(
            "select spent, leased, in_doubt from ledger_accounts"
            " where scope_kind = 'key' and unit = 'micro_usd' and window_kind = 'month'"
        )
        row = await cursor.fetchone()
        return (0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]))

    async def settled(self) -> dict[str, int]:
        cursor = await self.connection.execute("select id, cost from ledger_calls")
        return {str(call): int(cost) for call, cost in await cursor.fetchall()}

    async def doubtful(self) -> dict[str, int]:
        cursor = await self.connection.execute("select id, hold from ledger_intents where in_doubt")
        return {str(call): int(hold) for call, hold in await cursor.fetchall()}

    async def open_count(self) -> int:
        cursor = await self.connection.execute("select count(*) from ledger_intents where not in_doubt")
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def make_key(site: Cluster) -> str:
    budget = {"owner": "spender", "budgets": [{"window": "month", "capMicroUsd": CAP_MICRO_USD}]}
    for path, name, spec in (
        ("/api/v1/domains", "money", {"rateLimits": {"modelCallsPerDay": 10**9, "skillModelCallsPerHour": 10**9}}),
        ("/api/v1/domains/money/rolebindings", "b", {"roleRef": {"name": "author"}, "subjects": [{"name": "spender"}]}),
        ("/api/v1/domains/money/apikeys", "k", budget),
    ):
        made = await site.call("POST", path, {"metadata": {"name": name}, "spec": spec})
        assert made.status == 201, made.body
    return str(made.body["once"]["key"])


async def spend(url: str, key: str, session: aiohttp.ClientSession, seen: Counter[int]) -> None:
    """Calls until there is nothing left to spend; a gateway that is away is asked again."""
    headers = {"Authorization": f"Bearer {key}"}
    while True:
        try:
            async with session.post(f"{url}/v1/chat/completions", json=BODY, headers=headers) as answer:
                body = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError):
            seen[0] += 1
            await asyncio.sleep(0.1)
            continue
        seen[answer.status] += 1
        if answer.status == 402 and "are not free" not in body["error"]["message"]:
            return
        if answer.status != 200:
            await asyncio.sleep(0.2)


async def sample(books: Books, sums: list[int]) -> None:
    """What is spent and leased, again and again."""
    while True:
        spent, leased, _ = await books.account()
        sums.append(spent + leased)
        await asyncio.sleep(SAMPLE_SECONDS)


@pytest.mark.timeout(600 if IS_FULL else 240)
async def test_killed_gateways_never_overspend_and_every_charge_is_in_the_books(dsn: str) -> None:
    async with upstream() as charging, cluster(dsn, ASPORA_MODEL_URL=charging.url) as site:
        await site.start_all(gateways=2, executors=0, controllers=0)
        key = await make_key(site)
        seen: Counter[int] = Counter()
        sums: list[int] = []
        connections = [await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(2)]
        books, sampled = (Books(connection) for connection in connections)
        sampling = asyncio.create_task(sample(sampled, sums))
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            urls = [f"http://127.0.0.1:{backend.port}" for backend in site.balancer.backends]
            spending = [asyncio.create_task(spend(urls[i % 2], key, session, seen)) for i in range(WIDTH)]
            try:
                for _ in range(KILLS):
                    before = len(charging.bill)
                    async with asyncio.timeout(60):
                        while len(charging.bill) < before + 40 and not all(task.done() for task in spending):
                            await asyncio.sleep(0.01)
                    await site.nodes[1].restart(signal.SIGKILL)
                async with asyncio.timeout(300):
                    await asyncio.gather(*spending)
            finally:
                for task in spending:
                    task.cancel()
        async with asyncio.timeout(SETTLE_SECONDS):
            while await books.open_count():
                await asyncio.sleep(0.1)
        sampling.cancel()
        settled, doubtful = await books.settled(), await books.doubtful()
        spent, leased, in_doubt = await books.account()
        for connection in connections:
            await connection.close()
    told = (
        f"{dict(seen)}; {len(charging.bill)} charges, {len(settled)} settled, {len(doubtful)} in doubt; spent {spent}"
    )
    print(told, f"leased {leased}, at most {max(sums)} of {CAP_MICRO_USD} in {len(sums)} samples")
    assert max(sums) <= CAP_MICRO_USD
    for call, cost in charging.bill.items():
        assert settled.get(call) == cost or doubtful.get(call, -1) >= cost, (call, cost, told)
    assert spent == sum(settled.values()) + sum(doubtful.values()), told
    assert in_doubt == sum(doubtful.values())
    assert spent >= 0.99 * CAP_MICRO_USD, told
    assert sum(charging.bill.values()) <= CAP_MICRO_USD
    assert doubtful, "a gateway was killed with calls under way"
