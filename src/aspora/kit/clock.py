"""Time as a dependency: production reads the machine, tests turn the hands."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines."""

    def now(self) -> datetime:
        """The present UTC instant, time zone set."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...


_MONOTONIC: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Leases and deadlines are judged by it: of Linux's clocks that one goes on while the machine is suspended."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present UTC instant."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed point, those of a suspended machine too, on Linux."""
        return time.clock_gettime(_MONOTONIC)


class SteadyClock:
    """Wall time that nobody can turn: an instant told by whom all trust, and the monotonic seconds since.

    Args:
        clock: The machine's; its wall time counts until `set` is called first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.now()
        self._since = clock.monotonic()

    def set(self, at: datetime, *, asked_at: float) -> None:
        """Take an instant that was asked for at that monotonic time and has arrived now: it is taken to lie between."""
        self._at = at
        self._since = (asked_at + self._clock.monotonic()) / 2

    def now(self) -> datetime:
        """The present UTC instant, off by half of what the last question took."""
        return self._at + timedelta(seconds=self._clock.monotonic() - self._since)

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return self._clock.monotonic()
