"""Many callers, one statement and one flush: while a batch is with the database, the next one gathers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from aspora.meta.errors import Conflict, Timeout, Unavailable
from aspora.telemetry.logs import get_logger

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

_MOST_TURNS = 4
_log = get_logger(__name__)


@dataclass(slots=True)
class _Entry(Generic[ItemT, AnswerT]):
    item: ItemT
    answer: asyncio.Future[AnswerT]


class Group(Generic[ItemT, AnswerT]):
    """Sends what is put into it, in order, one batch at a time.

    Args:
        name: Of its task.
        send: Takes a batch and answers for each item; what it raises goes to all of them, but when an item of several
            may be to blame each is tried alone.
        most: Items in one batch.
        sends_left: Send also what nobody waits for any more.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[ItemT]], Awaitable[Sequence[AnswerT]]],
        *,
        most: int,
        sends_left: bool = False,
    ) -> None:
        self._name = name
        self._send = send
        self._most = most
        self._sends_left = sends_left
        self._waiting: deque[_Entry[ItemT, AnswerT]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._batch = asyncio.Lock()

    def put(self, item: ItemT) -> asyncio.Future[AnswerT]:
        """Send it with the next batch; a future cancelled before that takes it out, unless what is left is sent too."""
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        if self._sends_left:
            answer.add_done_callback(_look_at)
        self._waiting.append(_Entry(item, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name=self._name)
        return answer

    async def drain(self) -> None:
        """Return when all that was put in has been sent."""
        while self._sending is not None:
            await asyncio.wait({self._sending})

    async def close(self) -> None:
        """Give up what has not been sent."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})

    async def present_batch(self) -> None:
        """Return when the batch that is under way has been answered."""
        async with self._batch:
            pass

    async def _send_all(self) -> None:
        batch: list[_Entry[ItemT, AnswerT]] = []
        try:
            while self._waiting:
                await self._gather()
                batch = self._take()
                if batch:
                    async with self._batch:
                        await self._settle(batch)
        finally:
            # Nothing is left unless this task was cancelled: the loop is being closed.
            self._sending = None
            for entry in [*batch, *self._waiting]:
                if not entry.answer.done():
                    entry.answer.set_exception(Unavailable(f"this Aspora is stopping; {self._name} was given up"))
            self._waiting.clear()

    async def _gather(self) -> None:
        """Let those who can put something in now do so."""
        for _ in range(_MOST_TURNS):
            count = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == count:
                return

    def _take(self) -> list[_Entry[ItemT, AnswerT]]:
        batch: list[_Entry[ItemT, AnswerT]] = []
        while self._waiting and len(batch) < self._most:
            entry = self._waiting.popleft()
            if self._sends_left or not entry.answer.done():
                batch.append(entry)
        return batch

    async def _settle(self, batch: Sequence[_Entry[ItemT, AnswerT]]) -> None:
        try:
            answers = await self._send([entry.item for entry in batch])
        except (Unavailable, Timeout, Conflict) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - which of them is to blame is found by trying each for itself
            if len(batch) == 1:
                _log.error("ledger statement failed", group=self._name, failure=type(error).__name__)
                _fail(batch, error)
                return
            for entry in batch:
                await self._settle([entry])
        else:
            for entry, answer in zip(batch, answers, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(answer)


def _fail(batch: Sequence[_Entry[ItemT, AnswerT]], error: Exception) -> None:
    for entry in batch:
        if not entry.answer.done():
            entry.answer.set_exception(error)


def _look_at(answer: asyncio.Future[AnswerT]) -> None:
    """A failure that nobody awaits is no news: it was logged, and what is in the books covers it."""
    if not answer.cancelled():
        answer.exception()
