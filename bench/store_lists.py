"""How quick lists are, and how soon an informer knows a kind.

Method: Domain objects of about 300 bytes, put straight into the store, read over HTTP from a real gateway.
"""

import asyncio
import time

import aiohttp

from aspora.client.api_client import ApiClient
from aspora.client.http_transport import HttpTransport
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.reconcile.informer import Informer
from aspora.store.interface import Key, Write
from aspora.store.postgres import CHANNEL, PostgresStore
from bench.report import because, percentile, show

ROUNDS, PAGE = 15, 1000
SOME, MANY = 10_000, 100_000
_AT_ONCE = 500


async def _fill(dsn: str, first: int, end: int) -> float:
    """Put objects in; how many a second, in lists."""
    async with await Database.open(dsn) as database:
        store = PostgresStore(database, Listener(dsn, [CHANNEL]), SystemClock())
        began = time.monotonic()
        for start in range(first, end, _AT_ONCE):
            names = [f"list-{n:06}" for n in range(start, min(start + _AT_ONCE, end))]
            spec = {"description": "one of very many domains", "ownerTeam": "bench"}
            await store.write([Write("create", Key("Domain", "", name), {"spec": spec}) for name in names])
        return (end - first) / (time.monotonic() - began)


async def _list_all(session: aiohttp.ClientSession, url: str) -> tuple[int, float]:
    began, count, token = time.monotonic(), 0, ""
    while True:
        query = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        async with session.get(f"{url}/api/v1/domains", params=query) as answer:
            page = await answer.json()
        count += len(page["items"])
        token = page["metadata"].get("continue") or ""
        if not token:
            return count, time.monotonic() - began


async def _sync(url: str, key: str) -> tuple[int, float]:
    client = ApiClient(HttpTransport(url, api_key=key))
    informer, stop = Informer(client, "Domain"), asyncio.Event()
    began = time.monotonic()
    running = asyncio.create_task(informer.run(stop))
    await informer.synced.wait()
    seconds, count = time.monotonic() - began, len(informer.objects())
    stop.set()
    await running
    await client.close()
    return count, seconds


async def measure_lists(url: str, key: str, dsn: str) -> None:
    """One page, an informer's start, everything by pages."""
    await _fill(dsn, 0, SOME)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        times: list[float] = []
        for _ in range(ROUNDS):
            began = time.monotonic()
            async with session.get(f"{url}/api/v1/domains", params={"limit": str(PAGE)}) as answer:
                await answer.read()
            times.append((time.monotonic() - began) * 1000)
        value = f"p50 {percentile(times, 0.5):.0f} ms, max {max(times):.0f} ms"
        show(f"list of {PAGE} objects over HTTP", value, "≤ 100 ms", f"{ROUNDS} times, the whole answer")
        because("decoding and encoding each object in the gateway")
        count, seconds = await _sync(url, key)
        show(f"informer, cold sync of {count} objects", f"{seconds:.2f} s", "≤ 3 s", "from the first request to synced")
        because(f"pages of {PAGE}, one after another: gateway, then client")
        rate = await _fill(dsn, SOME, MANY)
        count, seconds = await _list_all(session, url)
        value = f"{count / seconds:.0f} objects/s"
        show(f"list of {count} objects, paged", value, "≥ 5000/s", f"pages of {PAGE}, decoded by the client")
        because(f"the gateway, then the client; they were written in lists of {_AT_ONCE} at {rate:.0f}/s")
