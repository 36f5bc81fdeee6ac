"""Every cache before an artifact store passes the suite; a Redis that is gone, slow or lying fails no read."""

import asyncio
import gc
import signal
import time
from collections.abc import AsyncGenerator, Generator

import pytest
from obstore.store import MemoryStore
from redis.asyncio import Redis
from tests.servers import Server, redis_server

from aspora.artifacts import ObjectArtifacts, digest_of
from aspora.artifacts.memory_blobs import MemoryBlobs
from aspora.artifacts.redis_blobs import RedisBlobs
from aspora.artifacts.tiers import CachedArtifacts
from aspora.kit.backoff import Backoff
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Invalid
from aspora.telemetry.cache_metrics import CacheCounts
from aspora.telemetry.caches import UNCOUNTED
from aspora.telemetry.metrics import Metrics
from aspora.testing.artifact_suite import BlobCacheSuite

DEADLINE_SECONDS = 0.4
QUICK_REST = Backoff(base_seconds=0.05, max_seconds=0.05)


class TestMemory(BlobCacheSuite):
    @pytest.fixture
    def cache(self) -> MemoryBlobs:
        return MemoryBlobs(UNCOUNTED)


async def test_memory_lets_the_longest_unused_go() -> None:
    metrics = Metrics()
    cache = MemoryBlobs(CacheCounts(metrics, "near"), max_bytes=4000)
    blobs = [bytes([n]) * 1000 for n in range(5)]
    for blob in blobs[:4]:
        await cache.put(digest_of(blob), blob)
    assert await cache.get(digest_of(blobs[0])) == blobs[0]
    await cache.put(digest_of(blobs[4]), blobs[4])
    assert [await cache.get(digest_of(b)) is not None for b in blobs] == [True, False, True, True, True]
    text = metrics.render().decode()
    assert 'aspora_cache_bytes{cache="near"} 4000.0' in text
    assert 'aspora_cache_entries{cache="near"} 4.0' in text
    assert 'aspora_cache_evictions_total{cache="near"} 1.0' in text


@pytest.fixture(autouse=True)
def swept() -> Generator[None]:
    """No garbage of one test in the next."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def redis() -> Generator[Server]:
    with redis_server() as server:
        yield server


def url_of(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def opened(server: Server) -> RedisBlobs:
    return RedisBlobs(url_of(server), UNCOUNTED, SystemClock(), deadline_seconds=5.0)


class TestRedis(BlobCacheSuite):
    @pytest.fixture
    async def cache(self, redis: Server) -> AsyncGenerator[RedisBlobs]:
        async with Redis.from_url(url_of(redis)) as client:
            await client.flushall()
        cache = opened(redis)
        yield cache
        await cache.close()


class Behind:
    """A store behind a Redis with short deadlines, and what its meter saw."""

    def __init__(self, url: str) -> None:
        self.metrics = Metrics()
        counts = CacheCounts(self.metrics, "shared")
        self.tier = RedisBlobs(url, counts, SystemClock(), deadline_seconds=DEADLINE_SECONDS, rest=QUICK_REST)
        self.store = CachedArtifacts(ObjectArtifacts(MemoryStore(), place="memory"), [(self.tier, counts)])

    def count(self, name: str, labels: str) -> float:
        head = f"aspora_cache_{name}{{{labels}}} "
        found = [
            line.removeprefix(head) for line in self.metrics.render().decode().splitlines() if line.startswith(head)
        ]
        return float(found[0]) if found else 0.0

    async def read_until_hit(self, digest: str, data: bytes) -> None:
        """Reads never fail; in the end one is answered by Redis."""
        before = self.count("hits_total", 'cache="shared"')
        async with asyncio.timeout(30):
            while self.count("hits_total", 'cache="shared"') == before:
                assert await self.store.get(digest) == data
                await asyncio.sleep(0.02)


@pytest.fixture
async def behind(redis: Server) -> AsyncGenerator[Behind]:
    made = Behind(url_of(redis))
    yield made
    await made.store.close()


async def test_redis_dies_and_comes_back(redis: Server, behind: Behind) -> None:
    digest = await behind.store.put(b"kept by the store")
    await behind.read_until_hit(digest, b"kept by the store")
    redis.kill()
    began = time.monotonic()
    for _ in range(50):
        assert await behind.store.get(digest) == b"kept by the store"
    assert time.monotonic() - began < 10
    assert behind.count("failures_total", 'cache="shared",reason="Unavailable"') >= 1
    redis.start()
    await behind.read_until_hit(digest, b"kept by the store")


async def test_redis_hangs_and_one_caller_at_a_time_pays_for_it(redis: Server, behind: Behind) -> None:
    digest = await behind.store.put(b"kept by the store")
    await behind.read_until_hit(digest, b"kept by the store")
    redis.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await asyncio.gather(*(behind.store.get(digest) for _ in range(20))) == [b"kept by the store"] * 20
        # Its own deadline for the question and for the offer that follows, and time for a busy machine.
        assert time.monotonic() - began < 2 * DEADLINE_SECONDS + 6
    finally:
        redis.signal(signal.SIGCONT)
    await behind.read_until_hit(digest, b"kept by the store")


class Hands(SystemClock):
    """A clock that stands still until its hands are turned."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


async def test_many_who_fail_at_once_are_one_failure() -> None:
    callers, asked, hang_up = 12, 0, asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == callers:
            hang_up.set()
        await hang_up.wait()
        writer.close()

    clock, server = Hands(), await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    rest = Backoff(base_seconds=1.0, max_seconds=1000.0, jitter_ratio=0.0)
    cache = RedisBlobs(url, UNCOUNTED, clock, deadline_seconds=20.0, rest=rest)
    try:
        assert await asyncio.gather(*(cache.get(digest_of(bytes([n]))) for n in range(callers))) == [None] * callers
        assert cache.is_resting
        clock.at = 1.0
        assert not cache.is_resting, "one outage, and the first rest"
        assert await cache.get(digest_of(b"x")) is None
        clock.at = 2.9
        assert cache.is_resting, "the second in a row is twice as long"
        clock.at = 3.0
        assert not cache.is_resting
    finally:
        await cache.close()
        server.close()


@pytest.mark.parametrize("lie", [b"other bytes", b"x" * 9_000_000], ids=["wrong", "huge"])
async def test_redis_lies_and_is_put_right(redis: Server, behind: Behind, lie: bytes) -> None:
    digest = await behind.store.put(b"the truth")
    async with Redis.from_url(url_of(redis)) as client:
        await client.set(f"aspora:blob:{digest.removeprefix('sha256:')}", lie)
    await behind.read_until_hit(digest, b"the truth")


async def test_redis_holds_something_of_another_type(redis: Server, behind: Behind) -> None:
    digest = await behind.store.put(b"not a list")
    async with Redis.from_url(url_of(redis)) as client:
        key = f"aspora:blob:{digest.removeprefix('sha256:')}"
        await client.delete(key)
        await client.rpush(key, "a", "b")
    for _ in range(3):
        assert await behind.store.get(digest) == b"not a list"


async def test_what_speaks_no_redis_is_left_alone() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    behind = Behind(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    try:
        digest = await behind.store.put(b"data")
        for _ in range(5):
            assert await behind.store.get(digest) == b"data"
        assert behind.count("failures_total", 'cache="shared",reason="Unavailable"') >= 1
    finally:
        await behind.store.close()
        server.close()


def test_an_address_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(Invalid, match="ASPORA_REDIS_URL") as refused:
        RedisBlobs("redis://:hunter2@127.0.0.1:notaport/0", UNCOUNTED, SystemClock())
    assert "hunter2" not in str(refused.value)
