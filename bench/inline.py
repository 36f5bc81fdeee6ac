"""The no-op handler end to end: alone and sixteen at a time, by stage, with the processor time of each process."""

import asyncio
import json
import os
import statistics
import time
from typing import Any

import aiohttp

from bench.processor import grown, tree_seconds
from bench.report import because, parts, percentile, show

WARM_UP, SINGLE, BATCH, CONCURRENCY = 32, 100, 320, 16
_REST = "rest (HTTP, flush of the end, wake-ups)"


async def execute(session: aiohttp.ClientSession, url: str) -> tuple[float, dict[str, Any]]:
    """One execution, awaited over HTTP: milliseconds and the stored record."""
    started = time.perf_counter()
    body = {"input": {"userMessage": "go", "metadata": {}}}
    async with session.post(
        f"{url}/api/v1/domains/bench/skills/noop/executions", params={"wait": "30"}, json=body
    ) as r:
        answer = await r.json()
    if answer.get("status", {}).get("state") != "Succeeded":
        raise RuntimeError(f"an execution did not succeed: {json.dumps(answer)[:500]}")
    return (time.perf_counter() - started) * 1000, answer


async def _at_once(session: aiohttp.ClientSession, url: str, *, count: int) -> list[float]:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one() -> float:
        async with gate:
            return (await execute(session, url))[0]

    return await asyncio.gather(*(one() for _ in range(count)))


async def measure_inline(url: str, key: str, *, pid: int) -> None:
    """Both figures, on an Aspora whose supervisor is `pid`."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        await _at_once(session, url, count=WARM_UP)
        await _measure_alone(session, url)
        await _measure_many(session, url, pid=pid)


async def _measure_alone(session: aiohttp.ClientSession, url: str) -> None:
    runs = [await execute(session, url) for _ in range(SINGLE)]
    times = [ms for ms, _ in runs]
    value = f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms"
    show("inline no-op, one at a time", value, "p50 ≤ 80 ms", f"{SINGLE} POSTs with wait, one connection")
    because(f"its stages, in the middle: {parts(_stages(runs), digits=1, unit='ms')}")


def _stages(runs: list[tuple[float, dict[str, Any]]]) -> dict[str, float]:
    """The median of each stage, and of what no stage covers."""
    taken: dict[str, list[float]] = {}
    for total, record in runs:
        stages: dict[str, float] = record["status"].get("stages") or {}
        for name, ms in stages.items():
            taken.setdefault(name, []).append(float(ms))
        taken.setdefault(_REST, []).append(total - sum(map(float, stages.values())))
    return {name: statistics.median(ms) for name, ms in taken.items()}


async def _measure_many(session: aiohttp.ClientSession, url: str, *, pid: int) -> None:
    await asyncio.sleep(1)  # the sandbox readies itself again after what went before
    before, started = tree_seconds(pid), time.perf_counter()
    times = await _at_once(session, url, count=BATCH)
    rate = BATCH / (time.perf_counter() - started)
    used = grown(before, tree_seconds(pid), per=BATCH / 1000)
    value = f"{rate:.0f}/s, p50 {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f} ms"
    show("inline no-op, 16 at a time", value, "≥ 30/s", f"{BATCH} POSTs with wait, {CONCURRENCY} in flight")
    cores = os.cpu_count() or 1
    allowed = cores * 1000 / sum(used.values())
    because(
        f"the processors, {parts(used, digits=1, unit='ms')} an execution: {cores} cores can't do more than"
        f" {allowed:.0f}/s; a handler is a fresh Python, whose start is most of it"
    )
