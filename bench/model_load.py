"""Asks for answers and says how long each took: `python -m bench.model_load URL MODEL CLIENTS COUNT STREAM`.

The key comes by `BENCH_KEY`, more headers as JSON by `BENCH_HEADERS`. Prints one JSON line: seconds of the whole, and
of each call until its answer was there, or for a stream until its first event with text. A process of its own, so that
it is nobody's event loop.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field

import aiohttp

WARM_UP = 50


@dataclass
class Load:
    """One load."""

    url: str
    model: str
    streams: bool
    key: str
    left: int
    latencies: list[float] = field(default_factory=list[float])
    failures: int = 0

    async def client(self, session: aiohttp.ClientSession) -> None:
        """Ask, one call after another."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "ping"}],
            "max_tokens": 16,
            "stream": self.streams,
        }
        headers = {"Authorization": f"Bearer {self.key}", **json.loads(os.environ.get("BENCH_HEADERS", "{}"))}
        while self.left > 0:
            self.left -= 1
            began = time.perf_counter()
            async with session.post(f"{self.url}/chat/completions", json=body, headers=headers) as answer:
                if self.streams:
                    while b'"content"' not in await answer.content.readline():
                        pass
                    taken = time.perf_counter() - began
                    await answer.read()
                else:
                    await answer.read()
                    taken = time.perf_counter() - began
                if answer.status != 200:
                    self.failures += 1
            self.latencies.append(taken)


async def main() -> None:
    """Warm up, measure, print."""
    url, model, clients, count, stream = sys.argv[1:6]
    key, streams = os.environ["BENCH_KEY"], stream == "stream"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        warm = Load(url, model, streams, key, WARM_UP)
        await asyncio.gather(*(warm.client(session) for _ in range(int(clients))))
        load = Load(url, model, streams, key, int(count))
        began = time.perf_counter()
        await asyncio.gather(*(load.client(session) for _ in range(int(clients))))
        whole = time.perf_counter() - began
    print(json.dumps({"seconds": whole, "latencies": load.latencies, "failures": load.failures}))


if __name__ == "__main__":
    asyncio.run(main())
