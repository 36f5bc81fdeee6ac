"""How soon watchers over HTTP hear of a write, and how many writes a second they can follow.

Method: a real Aspora on an embedded PostgreSQL; 8 writers change Domain objects of their own over HTTP at a fixed rate
all together, and 50 watchers in a process of their own follow all of them. Each change carries the instant at which its
request was sent, so a latency is the whole way: write, commit, notification, read, encoding, socket.
"""

import asyncio
import json
import multiprocessing
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp

from bench.processor import grown, tree_seconds
from bench.report import because, parts, percentile, show

WRITERS, WATCHERS = 8, 50
RATE, SECONDS = 100, 8.0
STEPS, STEP_SECONDS = (150, 200, 300, 400, 500, 600, 800, 1000), 5.0
CALM_MS, LIMIT_MS = 50, 250
FILLER = "what the domain is about, in a few words; " * 15
_SENT = re.compile(rb'"costCenter":"(\d+)"')
DOMAINS = "/api/v1/domains"


class _Watcher(asyncio.Protocol):
    """Latencies in ms of all changes until the one that ends the round.

    It speaks HTTP by hand: an HTTP library takes longer to read a line than the gateway to send it, and both share the
    machine.
    """

    def __init__(self, request: bytes, into: list[float], stop_at: bytes) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._request, self._into, self._stop_at = request, into, stop_at
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        text, _, self._rest = (self._rest + data).rpartition(b"\n")
        self._into += [(now - int(sent)) / 1e6 for sent in _SENT.findall(text)]
        if self._stop_at in text:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def _watch(url: str, key: str, since: str, into: list[float], stop_at: str) -> None:
    """Follow all changes until the one that ends the round."""
    parts = urlsplit(url)
    head = f"GET {DOMAINS}?watch=true&resourceVersion={since} HTTP/1.1", f"Host: {parts.netloc}"
    request = "\r\n".join((*head, f"Authorization: Bearer {key}", "", "")).encode()
    loop = asyncio.get_running_loop()
    _, watcher = await loop.create_connection(
        lambda: _Watcher(request, into, stop_at.encode()), parts.hostname, parts.port
    )
    await watcher.ended


def _watch_all(url: str, key: str, since: str, stop_at: str, pipe: Connection) -> None:
    """A process of watchers; sends all latencies."""
    seen: list[list[float]] = [[] for _ in range(WATCHERS)]

    async def run() -> None:
        tasks = [asyncio.create_task(_watch(url, key, since, into, stop_at)) for into in seen]
        await asyncio.sleep(1.5)
        pipe.send("ready")
        await asyncio.wait(tasks, timeout=60)

    asyncio.run(run())
    pipe.send(seen)


class Load:
    """Writers at a fixed rate."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._objects: dict[int, Any] = {}
        self.late_ms = 0.0

    async def prepare(self) -> str:
        """One object a writer; the version to watch from."""
        for writer in range(WRITERS):
            body = {"metadata": {"name": f"bench-{writer}"}, "spec": {"description": FILLER}}
            async with self._session.post(self._url + DOMAINS, json=body) as answer:
                if answer.status == 409:
                    async with self._session.get(f"{self._url}{DOMAINS}/bench-{writer}") as present:
                        self._objects[writer] = await present.json()
                else:
                    self._objects[writer] = await answer.json()
        async with self._session.get(f"{self._url}{DOMAINS}?limit=1") as answer:
            return str((await answer.json())["metadata"]["resourceVersion"])

    async def run(self, *, rate: float, seconds: float) -> int:
        """How many were acknowledged."""
        started = time.monotonic()
        counts = await asyncio.gather(
            *(self._write(w, started + w / rate, rate / WRITERS, started + seconds) for w in range(WRITERS))
        )
        return sum(counts)

    async def _write(self, writer: int, begin: float, rate: float, end: float) -> int:
        done, due = 0, begin
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > end + 1:
                break  # It can't keep up: the rest is left out.
            obj = self._objects[writer]
            changed = {**obj, "spec": {**obj["spec"], "costCenter": str(time.monotonic_ns())}}
            async with self._session.put(f"{self._url}{DOMAINS}/bench-{writer}", json=changed) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"a write failed: {await answer.text()}")
                self._objects[writer] = await answer.json()
            done, due = done + 1, due + 1 / rate
        return done

    async def end(self, mark: str) -> None:
        """The change by which watchers know that the round is over."""
        body = {"metadata": {"name": mark}, "spec": {}}
        async with self._session.post(self._url + DOMAINS, json=body) as answer:
            if answer.status != 201:
                raise RuntimeError(f"a write failed: {await answer.text()}")


@asynccontextmanager
async def _watchers(url: str, key: str, since: str, mark: str) -> AsyncGenerator[Connection]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_watch_all, args=(url, key, since, mark, theirs), daemon=True)
    process.start()
    try:
        await asyncio.to_thread(ours.recv)
        yield ours
    finally:
        await asyncio.to_thread(process.join, 70)
        process.kill()


async def _round(url: str, key: str, *, rate: float, seconds: float) -> tuple[int, list[float], int]:
    """Writes acknowledged, all latencies in ms, and how many events were missed."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        load, mark = Load(session, url), f"end-{time.monotonic_ns()}"
        since = await load.prepare()
        async with _watchers(url, key, since, mark) as pipe:
            done = await load.run(rate=rate, seconds=seconds)
            await load.end(mark)
            seen: list[list[float]] = await asyncio.to_thread(pipe.recv)
    return done, [ms for one in seen for ms in one], sum(done - len(one) for one in seen)


async def measure_watch(url: str, key: str, pid: int) -> None:
    """The latency at a calm rate, then the highest rate that watchers can follow."""
    before, began = tree_seconds(pid), time.monotonic()
    done, latencies, missed = await _round(url, key, rate=RATE, seconds=SECONDS)
    used = grown(before, tree_seconds(pid), per=(time.monotonic() - began) / 100)
    value = f"p50 {percentile(latencies, 0.5):.0f}, p99 {percentile(latencies, 0.99):.0f} ms, {missed} missed"
    method = f"{done} writes at {RATE}/s, {WRITERS} writers × {WATCHERS} watchers, from request sent to line read"
    show("watch over HTTP", value, f"p99 ≤ {CALM_MS} ms, 0", method)
    because(f"one gateway process; processor time {parts(used, digits=0, unit='% of a core')}, clients beside it")
    best = RATE if percentile(latencies, 0.99) <= LIMIT_MS else 0
    told: list[str] = []
    for rate in STEPS:
        done, latencies, missed = await _round(url, key, rate=rate, seconds=STEP_SECONDS)
        p99 = percentile(latencies, 0.99)
        told.append(json.dumps(f"{rate}/s: {done / STEP_SECONDS:.0f}/s done, p99 {p99:.0f} ms, {missed} missed")[1:-1])
        if p99 > LIMIT_MS or done < 0.95 * rate * STEP_SECONDS:
            break
        best = rate
    show("highest rate with watch p99 under 250 ms", f"{best} writes/s", "printed", f"steps of {STEP_SECONDS:g} s")
    because("; ".join(told))
