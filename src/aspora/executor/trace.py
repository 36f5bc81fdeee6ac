"""What happens in one attempt: events with their times, and the milliseconds of each stage."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from aspora.kit.clock import Clock
from aspora.records.rows import Claim, ExecutionEvent

MAX_EVENTS: Final = 10_000


class Trace:
    """Collects an attempt's events until somebody writes them.

    Args:
        claim: The attempt.
        clock: For the times.
        on_event: Called after each event, so that a writer learns that there is something to write.
    """

    def __init__(self, claim: Claim, clock: Clock, *, on_event: "Callable[[Trace], None]") -> None:
        self.claim = claim
        self.stages: dict[str, float] = {"record": round(claim.queued_ms, 1)}
        self._clock = clock
        self._on_event = on_event
        self._events: list[ExecutionEvent] = []
        self._count = 0

    def emit(self, type_: str, **data: Any) -> None:
        """Note that something has happened now; beyond `MAX_EVENTS` only the fact that there was more."""
        self._count += 1
        if self._count > MAX_EVENTS:
            return
        if self._count == MAX_EVENTS:
            type_, data = "EventsDropped", {"message": f"more than {MAX_EVENTS} events; the rest are not kept"}
        self._events.append(ExecutionEvent(self._clock.now(), type_, data))
        self._on_event(self)

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Count the block's time to a stage."""
        begin = self._clock.monotonic()
        try:
            yield
        finally:
            elapsed_ms = (self._clock.monotonic() - begin) * 1000
            self.stages[name] = round(self.stages.get(name, 0.0) + elapsed_ms, 1)

    def take(self) -> list[ExecutionEvent]:
        """The events that nobody has taken yet."""
        events, self._events = self._events, []
        return events

    def give_back(self, events: list[ExecutionEvent]) -> None:
        """Return what was taken and could not be written."""
        self._events[:0] = events
