"""Wall time that nobody can turn."""

from datetime import UTC, datetime, timedelta

from aspora.kit.clock import SteadyClock

TOLD = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)


class Machine:
    """A machine's clocks: the wall's can be turned."""

    def __init__(self) -> None:
        self.wall = TOLD + timedelta(minutes=7)
        self.seconds = 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds


def test_it_follows_the_instant_it_was_told_and_monotonic_time_alone() -> None:
    machine = Machine()
    steady = SteadyClock(machine)
    assert steady.now() == machine.wall
    machine.seconds = 104.0
    steady.set(TOLD, asked_at=102.0)
    assert steady.now() == TOLD + timedelta(seconds=1)
    for hours in (1, -2):
        machine.wall += timedelta(hours=hours)
        machine.seconds += 10
    assert steady.now() == TOLD + timedelta(seconds=21)
    assert steady.monotonic() == 124.0
