"""What every artifact store and every cache before one must do. Subclass, and give the fixtures.

`corrupt` replaces what is kept under a digest by other bytes, behind the store's back.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aspora.artifacts.interface import ArtifactDamaged, ArtifactStore, BlobCache, digest_of
from aspora.meta.errors import Invalid, NotFound

Corrupt = Callable[[str, bytes], Awaitable[None]]
LARGE = bytes(range(256)) * 8192 + b"."
"""Over the size that is hashed in a thread and over one part of a multipart upload's smallest."""

NO_DIGESTS = ("", "x", "sha256:", "sha256:" + "A" * 64, "sha256:../../etc/passwd", "md5:" + "0" * 64)


class ArtifactStoreSuite:
    """Needs the fixtures `store` and `corrupt`."""

    async def test_what_is_put_is_there_under_its_digest(self, store: ArtifactStore) -> None:
        """Small, large and empty."""
        for data in (b"data", LARGE, b""):
            digest = await store.put(data)
            assert digest == digest_of(data)
            assert await store.get(digest) == data
            assert await store.exists(digest)

    async def test_the_same_bytes_again_change_nothing(self, store: ArtifactStore) -> None:
        """One after the other, and at once."""
        first = await store.put(b"again")
        assert await asyncio.gather(*(store.put(b"again") for _ in range(8))) == [first] * 8
        assert await store.get(first) == b"again"

    async def test_what_was_never_put_is_not_found(self, store: ArtifactStore) -> None:
        """And the message names it."""
        absent = digest_of(b"never put")
        assert not await store.exists(absent)
        with pytest.raises(NotFound, match=absent):
            await store.get(absent)

    async def test_other_bytes_are_refused_by_digest_and_healed_by_a_put(
        self, store: ArtifactStore, corrupt: Corrupt
    ) -> None:
        """Changed, cut short, grown."""
        digest = await store.put(b"data to harm")
        for wrong in (b"dbta to harm", b"", b"data to harm and more"):
            await corrupt(digest, wrong)
            with pytest.raises(ArtifactDamaged, match=digest):
                await store.get(digest)
            assert await store.put(b"data to harm") == digest
            assert await store.get(digest) == b"data to harm"

    @pytest.mark.parametrize("digest", NO_DIGESTS)
    async def test_what_is_no_digest_never_becomes_a_key(self, store: ArtifactStore, digest: str) -> None:
        """A path least of all."""
        with pytest.raises(Invalid, match="is not a digest"):
            await store.get(digest)
        with pytest.raises(Invalid, match="is not a digest"):
            await store.exists(digest)


class BlobCacheSuite:
    """Needs the fixture `cache`: an empty one with room for some blobs of 1000 bytes."""

    async def test_what_is_put_may_be_had_back(self, cache: BlobCache) -> None:
        """With nothing in its way it must."""
        digest = digest_of(b"blob")
        assert await cache.get(digest) is None
        await cache.put(digest, b"blob")
        assert await cache.get(digest) == b"blob"

    async def test_a_later_put_replaces(self, cache: BlobCache) -> None:
        """So that a tier that held wrong bytes is mended by the next read."""
        digest = digest_of(b"right")
        await cache.put(digest, b"wrong")
        await cache.put(digest, b"right")
        assert await cache.get(digest) == b"right"

    async def test_what_is_too_large_is_declined(self, cache: BlobCache) -> None:
        """Without a word, and without pushing out all else."""
        small, large = b"small", bytes(64 * 2**20)
        await cache.put(digest_of(small), small)
        await cache.put(digest_of(large), large)
        assert await cache.get(digest_of(large)) is None
        assert await cache.get(digest_of(small)) == small

    async def test_many_at_once(self, cache: BlobCache) -> None:
        """No answer goes to another question."""
        blobs = [bytes([n]) * 1000 for n in range(1, 41)]
        await asyncio.gather(*(cache.put(digest_of(b), b) for b in blobs))
        found = await asyncio.gather(*(cache.get(digest_of(b)) for b in blobs))
        assert found == blobs

    async def test_after_close_it_may_be_closed_again(self, cache: BlobCache) -> None:
        """Close is for every path out."""
        await cache.close()
        await cache.close()
