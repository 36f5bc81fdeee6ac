"""A cache in a Redis that many nodes share. Needs `aspora[redis]`; loaded only when a Redis is configured.

Redis is a convenience and never a dependency: whatever it does, a read costs at most `DEADLINE_SECONDS` more, and after
a failure nobody asks it again for a while.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aspora.artifacts.interface import hex_of
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.meta.errors import Invalid
from aspora.telemetry.caches import CacheMeter
from aspora.telemetry.logs import get_logger

T = TypeVar("T")
DEADLINE_SECONDS: Final = 0.5
MAX_BLOB_BYTES: Final = 8 * 2**20
TTL_SECONDS: Final = 24 * 3600
_MAX_CONNECTIONS: Final = 16
_REST: Final = Backoff(base_seconds=1.0, max_seconds=30.0)
_log = get_logger(__name__)


class RedisBlobs:
    """A `BlobCache`. Made for one event loop.

    Args:
        url: Like `redis://host:6379/0`; may hold a password.
        deadline_seconds: For one question, connecting included.
        rest: How long it is left alone after its first, second, … failure in a row.

    Raises:
        Invalid: The URL can't be read.
    """

    def __init__(
        self,
        url: str,
        meter: CacheMeter,
        clock: Clock,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        rest: Backoff = _REST,
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._rest = rest
        self._failures = 0
        self._rests_until = 0.0
        # Half of it, so that the library ends a round trip by itself: cancelled inside one, it leaves a socket open.
        trip_seconds = deadline_seconds / 2
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_MAX_CONNECTIONS,
                timeout=trip_seconds,
                socket_timeout=trip_seconds,
                socket_connect_timeout=trip_seconds,
                retry=Retry(NoBackoff(), 0),
                client_name="aspora",
            )
        except ValueError:
            raise Invalid("ASPORA_REDIS_URL can't be read; write it like redis://127.0.0.1:6379/0") from None
        self._redis = Redis.from_pool(pool)

    @property
    def is_resting(self) -> bool:
        """It failed, and nobody asks it for now."""
        return self._clock.monotonic() < self._rests_until

    async def get(self, digest: str) -> bytes | None:
        """See `BlobCache.get`; more than `MAX_BLOB_BYTES` is never read."""
        found = await self._ask(cast("Awaitable[Any]", self._redis.getrange(_key(digest), 0, MAX_BLOB_BYTES)))
        # What is absent and what is empty read alike; an empty blob is not worth a cache.
        return found if isinstance(found, bytes) and found and len(found) <= MAX_BLOB_BYTES else None

    async def put(self, digest: str, data: bytes) -> None:
        """See `BlobCache.put`."""
        if 0 < len(data) <= MAX_BLOB_BYTES:
            await self._ask(cast("Awaitable[Any]", self._redis.set(_key(digest), data, ex=TTL_SECONDS)))

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()

    async def _ask(self, question: Awaitable[T]) -> T | None:
        """The answer, or None while Redis rests or when it fails now."""
        if self.is_resting:
            _drop(question)
            return None
        if self._failures:
            # Only one caller finds out whether it is back; the others do without meanwhile.
            self._rests_until = self._clock.monotonic() + self._deadline_seconds
        failures = self._failures
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answer = await question
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self._meter.failed("Unavailable")
            if failures == self._failures:  # Else others that were asked at the same time have told of this outage.
                await self._fail(error)
            return None
        self._failures, self._rests_until = 0, 0.0
        return answer

    async def _fail(self, error: Exception) -> None:
        rest_seconds = self._rest.delay_seconds(self._failures)
        self._failures += 1
        self._rests_until = self._clock.monotonic() + rest_seconds
        # The type alone: a message of the library may hold the address with its password.
        _log.warning("shared cache left alone", cause=type(error).__name__, seconds=round(rest_seconds, 1))
        # What was asked may still be answered on its connection: nobody else may read that.
        await self._redis.connection_pool.disconnect(inuse_connections=True)


def _key(digest: str) -> str:
    return f"aspora:blob:{hex_of(digest)}"


def _drop(question: Awaitable[object]) -> None:
    """Let a coroutine go that nobody will await."""
    close = getattr(question, "close", None)
    if close is not None:
        close()
