"""A bounded cache in the process's own memory."""

from collections import OrderedDict
from typing import Final

from aspora.telemetry.caches import CacheMeter

DEFAULT_MAX_BYTES: Final = 32 * 2**20
_LARGEST_SHARE: Final = 4
"""Nothing larger than this part of the whole is kept, so that one blob can't push out all others."""


class MemoryBlobs:
    """A `BlobCache`; the longest unused goes first.

    Args:
        max_bytes: For all entries together.
    """

    def __init__(self, meter: CacheMeter, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._meter = meter
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._size_bytes = 0
        meter.show_entries(lambda: len(self._entries))
        meter.show_bytes(lambda: self._size_bytes)

    async def get(self, digest: str) -> bytes | None:
        """See `BlobCache.get`."""
        data = self._entries.get(digest)
        if data is not None:
            self._entries.move_to_end(digest)
        return data

    async def put(self, digest: str, data: bytes) -> None:
        """See `BlobCache.put`."""
        if len(data) > self._max_bytes // _LARGEST_SHARE:
            return
        self._size_bytes += len(data) - len(self._entries.pop(digest, b""))
        self._entries[digest] = data
        while self._size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._size_bytes -= len(oldest)
            self._meter.evicted()

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size_bytes = 0
