"""An artifact store behind caches: the nearest tier that has the right bytes answers."""

from collections.abc import Sequence

from aspora.artifacts.interface import ArtifactStore, BlobCache, digest_of
from aspora.telemetry.caches import CacheMeter
from aspora.telemetry.logs import get_logger

_log = get_logger(__name__)


class CachedArtifacts:
    """An `ArtifactStore`. Reads go through the tiers; writes and questions go to the store alone.

    What comes from a tier is checked by its digest as what comes from the store is; no tier can fail a read.

    Args:
        store: Holds everything.
        tiers: The nearest first, each with its meter.
    """

    def __init__(self, store: ArtifactStore, tiers: Sequence[tuple[BlobCache, CacheMeter]]) -> None:
        self._store = store
        self._tiers = tuple(tiers)

    async def put(self, data: bytes) -> str:
        """Keep the bytes; see `ArtifactStore.put`."""
        return await self._store.put(data)

    async def get(self, digest: str) -> bytes:
        """The bytes; see `ArtifactStore.get`."""
        for i, (tier, meter) in enumerate(self._tiers):
            data = await tier.get(digest)
            if data is None:
                meter.miss()
            elif digest_of(data) != digest:
                meter.failed("Damaged")
                _log.warning("cache held other bytes than the digest names", digest=digest, size_bytes=len(data))
            else:
                meter.hit()
                await self._offer(digest, data, to=self._tiers[:i])
                return data
        data = await self._store.get(digest)
        await self._offer(digest, data, to=self._tiers)
        return data

    async def exists(self, digest: str) -> bool:
        """Whether the store has it; see `ArtifactStore.exists`."""
        return await self._store.exists(digest)

    async def close(self) -> None:
        """Let go of the tiers' connections."""
        for tier, _ in self._tiers:
            await tier.close()

    async def _offer(self, digest: str, data: bytes, *, to: Sequence[tuple[BlobCache, CacheMeter]]) -> None:
        for tier, _ in to:
            await tier.put(digest, data)
