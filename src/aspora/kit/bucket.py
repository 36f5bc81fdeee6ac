"""A token bucket: so many at once, then so many a second."""

from collections.abc import Callable


class TokenBucket:
    """Hands out the delay after which each next one may go.

    Args:
        per_second: Refill.
        burst: How many may go at once after a pause.
        monotonic: Seconds that never go back.
    """

    def __init__(self, *, per_second: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._at = monotonic()

    def delay_seconds(self) -> float:
        """Take a token; 0 when one is there, else how long until it would be."""
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)

    def wait_seconds(self) -> float:
        """How long until a token is there; takes none."""
        self._refill()
        return max(0.0, (1 - self._tokens) / self._per_second)

    def _refill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
