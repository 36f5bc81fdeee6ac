"""Accounts near their cap: of each, one call a second goes through, so that what is left lasts until somebody looks."""

from collections.abc import Callable, Iterable

from aspora.kit.bucket import TokenBucket
from aspora.ledger.interface import AccountKey, Unit, Window

CALLS_PER_SECOND = 1.0


class Throttles:
    """Those of one process, as the database told last.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: dict[AccountKey, TokenBucket] = {}

    def learn(self, key: AccountKey, *, is_near_cap: bool) -> None:
        """What the database says of an account.

        Only money is throttled: the other units are rates themselves. An execution is not: it ends soon, and nobody
        looks meanwhile.
        """
        if not is_near_cap:
            self._buckets.pop(key, None)
        elif key not in self._buckets and key.unit is Unit.MICRO_USD and key.window is not Window.EXECUTION:
            self._buckets[key] = TokenBucket(per_second=CALLS_PER_SECOND, burst=1, monotonic=self._monotonic)

    def slowest(self, keys: Iterable[AccountKey]) -> tuple[AccountKey | None, float]:
        """Which of the accounts lets the next call through last, and in how many seconds; None and 0: all do now."""
        waits = ((self._buckets[key].wait_seconds(), key) for key in keys if key in self._buckets)
        seconds, key = max(waits, key=lambda wait: wait[0], default=(0.0, None))
        return (key, seconds) if seconds > 0 else (None, 0.0)

    def let_through(self, keys: Iterable[AccountKey]) -> None:
        """A call goes now."""
        for key in keys:
            if key in self._buckets:
                self._buckets[key].delay_seconds()

    def forget_idle(self, leased: Iterable[AccountKey]) -> None:
        """Drop those that nothing is leased of and that would let a call through: who leases is told anew."""
        kept = set(leased)
        self._buckets = {k: b for k, b in self._buckets.items() if k in kept or b.wait_seconds() > 0}
