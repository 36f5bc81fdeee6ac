"""The clock that a process takes from the database: the best of a few answers counts, and nobody waits for more."""

from datetime import UTC, datetime, timedelta

from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.main.database_clock import DatabaseClock

STALL_SECONDS = 3.0


class StallingClock(SystemClock):
    """Of a process that is stopped for a while at each of its first looks at the clock, and so while it waits."""

    def __init__(self, *, stalls: int) -> None:
        self._stalls = stalls
        self._stalled_seconds = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        if self.looks < self._stalls:
            self._stalled_seconds += STALL_SECONDS
        self.looks += 1
        return super().monotonic() + self._stalled_seconds


async def test_a_slow_first_answer_is_asked_for_again(database: Database) -> None:
    clock = await DatabaseClock.open(database, StallingClock(stalls=3))
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=STALL_SECONDS / 3)


async def test_where_every_answer_is_slow_one_of_them_is_taken(database: Database) -> None:
    always = StallingClock(stalls=1000)
    await DatabaseClock.open(database, always)
    assert always.looks < 30
