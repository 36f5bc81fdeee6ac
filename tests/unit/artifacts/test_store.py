"""The store over memory; what needs a disk is in the integration tests."""

import hashlib

import pytest
from obstore.store import MemoryStore

from aspora.artifacts import ArtifactDamaged, ObjectArtifacts, digest_of, open_artifacts
from aspora.meta.errors import Invalid, NotFound


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(memory: MemoryStore) -> ObjectArtifacts:
    return ObjectArtifacts(memory, place="memory")


async def test_put_get_exists(store: ObjectArtifacts) -> None:
    digest = await store.put(b"data")
    assert digest == digest_of(b"data") == "sha256:" + hashlib.sha256(b"data").hexdigest()
    assert await store.put(b"data") == digest
    assert await store.get(digest) == b"data"
    assert await store.exists(digest)
    assert await store.put(b"") == digest_of(b"")


async def test_what_is_not_there(store: ObjectArtifacts) -> None:
    absent = digest_of(b"absent")
    assert not await store.exists(absent)
    with pytest.raises(NotFound, match=absent):
        await store.get(absent)


async def test_a_flipped_byte_is_refused_by_digest_and_healed_by_another_put(
    store: ObjectArtifacts, memory: MemoryStore
) -> None:
    digest = await store.put(b"data")
    digits = digest.removeprefix("sha256:")
    await memory.put_async(f"sha256/{digits[:2]}/{digits}", b"dat\x00", mode="overwrite")
    with pytest.raises(ArtifactDamaged, match=digest):
        await store.get(digest)
    assert await store.put(b"data") == digest
    assert await store.get(digest) == b"data"


@pytest.mark.parametrize(
    "digest", ["", "x", "sha256:", "sha256:" + "A" * 64, "sha256:../../etc/passwd", "md5:" + "0" * 64]
)
async def test_what_is_no_digest_never_becomes_a_key(store: ObjectArtifacts, digest: str) -> None:
    with pytest.raises(Invalid, match="is not a digest"):
        await store.get(digest)
    with pytest.raises(Invalid, match="is not a digest"):
        await store.exists(digest)


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(Invalid, match=r"no artifact store at 'nope://x' \(ASPORA_ARTIFACTS_URL\)"):
        open_artifacts("nope://x")
