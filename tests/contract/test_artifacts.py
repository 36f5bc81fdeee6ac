"""Every artifact store passes the suite, and an S3 that is down, slow or lying is told so in time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore, ObjectStore, from_url
from tests.servers import Server, environment, make_bucket, proxy_to, s3_environment, s3_server

from aspora.artifacts import ArtifactDamaged, ObjectArtifacts, digest_of, open_artifacts
from aspora.artifacts.memory_blobs import MemoryBlobs
from aspora.artifacts.tiers import CachedArtifacts
from aspora.meta.errors import Unavailable
from aspora.telemetry.caches import UNCOUNTED
from aspora.testing.artifact_suite import ArtifactStoreSuite, Corrupt


def key_of(digest: str) -> str:
    digits = digest.removeprefix("sha256:")
    return f"sha256/{digits[:2]}/{digits}"


def corrupting(store: ObjectStore) -> Corrupt:
    async def corrupt(digest: str, data: bytes) -> None:
        await obstore.put_async(store, key_of(digest), data, mode="overwrite")

    return corrupt


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


class TestInMemory(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, memory: MemoryStore) -> ObjectArtifacts:
        return ObjectArtifacts(memory, place="memory")

    @pytest.fixture
    def corrupt(self, memory: MemoryStore) -> Corrupt:
        return corrupting(memory)


class TestInAFolder(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectArtifacts:
        return open_artifacts(tmp_path)

    @pytest.fixture
    def corrupt(self, tmp_path: Path) -> Corrupt:
        async def corrupt(digest: str, data: bytes) -> None:
            await asyncio.to_thread((tmp_path / key_of(digest)).write_bytes, data)

        return corrupt


class TestBehindAMemoryTier(ArtifactStoreSuite):
    """What stays in the tier is checked too: the suite harms the store, and the tier must not hide a refusal."""

    @pytest.fixture
    def store(self, memory: MemoryStore) -> CachedArtifacts:
        # A tier with no room: reads reach the store, as they do on a node that has just started.
        return CachedArtifacts(
            ObjectArtifacts(memory, place="memory"), [(MemoryBlobs(UNCOUNTED, max_bytes=3), UNCOUNTED)]
        )

    @pytest.fixture
    def corrupt(self, memory: MemoryStore) -> Corrupt:
        return corrupting(memory)


@pytest.fixture(scope="module")
def s3() -> Generator[Server]:
    with s3_server() as server, environment(**s3_environment(server.port)):
        make_bucket(server.port, "aspora-test")
        yield server


BUCKET = "s3://aspora-test/some/prefix"
BUSY_SECONDS = 10.0
"""What a busy machine may add; far less than the deadlines of what is shipped."""


class TestOnS3(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, s3: Server) -> ObjectArtifacts:
        return open_artifacts(BUCKET)

    @pytest.fixture
    def corrupt(self, s3: Server) -> Corrupt:
        return corrupting(from_url(BUCKET, client_options={"allow_http": True}))

    async def test_keys_lie_below_the_prefix(self, store: ObjectArtifacts) -> None:
        digest = await store.put(b"placed")
        whole = from_url("s3://aspora-test", client_options={"allow_http": True})
        found = await obstore.get_async(whole, f"some/prefix/{key_of(digest)}")
        assert bytes(await found.bytes_async()) == b"placed"


@pytest.fixture
async def behind_proxy(s3: Server) -> AsyncGenerator[tuple[ObjectArtifacts, object]]:
    async with proxy_to(s3.port) as proxy:
        with environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.port}"):
            yield open_artifacts(BUCKET, deadline_seconds=2.0), proxy


async def until_it_answers(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The answer, though a busy machine may not give it within the short deadline."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unavailable):
                return await ask()


async def test_a_bucket_that_falls_silent_is_unavailable_in_time_and_heals(behind_proxy: tuple) -> None:  # type: ignore[type-arg]
    store, proxy = behind_proxy
    digest = await until_it_answers(lambda: store.put(b"before the silence"))
    proxy.fall_silent()
    began = time.monotonic()
    for asked in (store.get(digest), store.exists(digest), store.put(b"during the silence")):
        with pytest.raises(Unavailable, match="s3 bucket 'aspora-test'"):
            await asked
    assert time.monotonic() - began < 3 * 2.0 + BUSY_SECONDS
    proxy.speak()
    proxy.cut()
    assert await until_it_answers(lambda: store.get(digest)) == b"before the silence"
    digest = await until_it_answers(lambda: store.put(b"after the silence"))
    assert await until_it_answers(lambda: store.get(digest)) == b"after the silence"


async def test_a_bucket_that_nobody_serves_is_unavailable_in_time() -> None:
    with environment(**s3_environment(9)):
        store = open_artifacts(BUCKET, deadline_seconds=3.0)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="aspora-test") as refused:
            await store.get(digest_of(b"x"))
        assert time.monotonic() - began < 3.0 + BUSY_SECONDS
    told = str(refused.value)
    assert "\n" not in told
    assert "Debug" not in told


async def test_credentials_stand_in_no_message(s3: Server) -> None:
    with environment(AWS_SECRET_ACCESS_KEY="hunter2-secret", AWS_ACCESS_KEY_ID="AKIAHUNTER"):
        store = open_artifacts("s3://no-such-bucket/prefix", deadline_seconds=5.0)
        with pytest.raises(Exception) as refused:
            await store.put(b"x")
    assert "hunter2" not in repr(refused.value) + str(refused.value)
    assert isinstance(refused.value, Unavailable)


async def test_a_tier_with_wrong_bytes_is_passed_over_and_mended(memory: MemoryStore) -> None:
    tier = MemoryBlobs(UNCOUNTED)
    store = CachedArtifacts(ObjectArtifacts(memory, place="memory"), [(tier, UNCOUNTED)])
    digest = await store.put(b"true")
    await tier.put(digest, b"lies")
    assert await store.get(digest) == b"true"
    assert await tier.get(digest) == b"true"
    await obstore.put_async(memory, key_of(digest), b"lies", mode="overwrite")
    assert await store.get(digest) == b"true", "the tier answers, by digest"
    await tier.close()
    with pytest.raises(ArtifactDamaged):
        await store.get(digest)
