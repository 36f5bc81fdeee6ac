"""The counts of a cache as metrics."""

from collections.abc import Callable

from aspora.telemetry.caches import CacheFailure
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_FAILURES,
    CACHE_HITS,
    CACHE_MISSES,
)


class CacheCounts:
    """A `CacheMeter` over metrics.

    Args:
        metrics: Where to count.
        cache: The cache's name, a label's value.
    """

    def __init__(self, metrics: Metrics, cache: str) -> None:
        self._metrics = metrics
        self._cache = cache
        self._hits = metrics.counter(CACHE_HITS).labels(cache)
        self._misses = metrics.counter(CACHE_MISSES).labels(cache)
        self._evictions = metrics.counter(CACHE_EVICTIONS).labels(cache)
        self._failures = metrics.counter(CACHE_FAILURES)

    def hit(self) -> None:
        """Asked for and there."""
        self._hits.inc()

    def miss(self) -> None:
        """Asked for and not there."""
        self._misses.inc()

    def evicted(self) -> None:
        """One entry went to make room."""
        self._evictions.inc()

    def failed(self, reason: CacheFailure) -> None:
        """Asked in vain."""
        self._failures.labels(self._cache, reason).inc()

    def show_entries(self, count: Callable[[], int]) -> None:
        """Ask this for the number of entries at each scrape."""
        self._metrics.gauge(CACHE_ENTRIES).labels(self._cache).set_function(count)

    def show_bytes(self, size: Callable[[], int]) -> None:
        """Ask this for the size of all entries at each scrape."""
        self._metrics.gauge(CACHE_BYTES).labels(self._cache).set_function(size)
