"""Two endpoints asked side by side: whose output begins first wins, the other is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aspora.kit.supervise import uninterrupted, wait_for_stop
from aspora.models.failures import ModelFailed

T = TypeVar("T")


class Lane:
    """One way to an answer, alone unless it is of a race."""

    def __init__(self, race: "_Race | None" = None) -> None:
        self._race = race

    def began(self) -> None:
        """Its output begins; from here on it is alone.

        Raises:
            CancelledError: Another was first.
        """
        if self._race is not None:
            self._race.win(self)
            self.check()

    def check(self) -> None:
        """See that it is still wanted: a cancellation can be swallowed where a time limit runs out at that moment.

        Raises:
            CancelledError: It is not.
        """
        if self._race is not None and self._race.is_lost(self):
            raise asyncio.CancelledError


Ask = Callable[[Lane], Coroutine[Any, Any, tuple[T] | None]]
"""Asks one endpoint; None when the next one should be tried."""


@dataclass(frozen=True, slots=True)
class Raced(Generic[T]):
    """How a race ended.

    Attributes:
        answer: None when there is none.
        second_is_over: Whether the second endpoint was asked, and has failed.
    """

    answer: tuple[T] | None
    second_is_over: bool


class _Race:
    """Who runs, and who has won."""

    def __init__(self) -> None:
        self.tasks: dict[Lane, asyncio.Task[Any]] = {}
        self.winner: Lane | None = None
        self.decided = asyncio.Event()
        self._is_over = False

    def start(self, ask: Ask[T]) -> "asyncio.Task[tuple[T] | None]":
        lane = Lane(self)
        task = asyncio.create_task(ask(lane))
        self.tasks[lane] = task
        return task

    def win(self, lane: Lane) -> None:
        if self.winner is None:
            self.winner = lane
            self.decided.set()
            for other, task in self.tasks.items():
                if other is not lane:
                    task.cancel()

    def is_lost(self, lane: Lane) -> bool:
        return self._is_over or self.winner not in {None, lane}

    async def end(self) -> None:
        """Cancel who still runs, and wait until their money is booked."""
        self._is_over = True
        for task in self.tasks.values():
            task.cancel()
        await uninterrupted(asyncio.gather(*self.tasks.values(), return_exceptions=True))


async def ask_beside(first: Ask[T], second: Ask[T], *, after_seconds: float) -> Raced[T]:
    """Ask one endpoint, and another beside it when no output of the first has begun by then.

    Args:
        first: Its failure is the call's; once the other has begun it is not waited for any more.
        second: Its failure counts only when the first one brings nothing either.
        after_seconds: When to ask the second.

    Raises:
        ModelFailed: What the one that counts raised.
    """
    race = _Race()
    try:
        one = race.start(first)
        with suppress(TimeoutError):
            async with asyncio.timeout(after_seconds):
                await wait_for_stop(race.decided, one)
        if race.decided.is_set() or one.done():
            return Raced(await one, second_is_over=False)
        two = race.start(second)
        return await _finish(race, one, two)
    finally:
        await race.end()


async def _finish(race: _Race, one: "asyncio.Task[tuple[T] | None]", two: "asyncio.Task[tuple[T] | None]") -> Raced[T]:
    """The end of two that run."""
    while True:
        if race.winner is not None:
            won = race.tasks[race.winner]
            return Raced(await won, second_is_over=won is two)
        if one.done() and (answer := await one) is not None:
            return Raced(answer, second_is_over=False)
        if two.done() and (answer := _unless_failed(two)) is not None:
            return Raced(answer, second_is_over=True)
        if one.done() and two.done():
            return Raced(await two, second_is_over=True)
        await wait_for_stop(race.decided, *(task for task in (one, two) if not task.done()))


def _unless_failed(task: "asyncio.Task[tuple[T] | None]") -> tuple[T] | None:
    return None if isinstance(task.exception(), ModelFailed) else task.result()
