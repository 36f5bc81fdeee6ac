"""Gathers the writes of a process: many callers share one statement, one lock and one flush to disk.

While a batch is with the database the next one gathers; there is never more than one under way, since the writers' lock
would make the second wait for the first anyway. What befalls one caller (a value that the database can't take, a
cancelled task, a deadline) befalls no other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from aspora.db.failures import OutcomeUnknown, SerializationConflict
from aspora.meta.errors import Invalid, StatusError, Timeout, Unavailable
from aspora.store.items import Item

AnswerT = TypeVar("AnswerT")

Send = Callable[[Sequence[Item]], Awaitable[Sequence[AnswerT]]]
"""Applies items in order, in one transaction; one answer each."""

_MOST_TURNS = 4
_MOST_COLLISIONS = 3


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much goes together, and how much may wait.

    Attributes:
        items: In one batch; a single caller's list may be longer and then goes alone.
        batch_bytes: In one batch; likewise.
        waiting_bytes: Of all that wait; more is refused.
        wait_seconds: How long writes wait for those before them.
    """

    items: int = 128
    batch_bytes: int = 8 * 1024 * 1024
    waiting_bytes: int = 64 * 1024 * 1024
    wait_seconds: float = 10.0


class _Entry(Generic[AnswerT]):
    """One caller's list."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.size_bytes = sum(item.size_bytes for item in items)
        loop = asyncio.get_running_loop()
        self.came_at = loop.time()
        self.answers: asyncio.Future[Sequence[AnswerT]] = loop.create_future()

    @property
    def is_over(self) -> bool:
        """Its caller has left, or been told that it waited too long."""
        return self.answers.done()

    def succeed(self, answers: Sequence[AnswerT]) -> None:
        """Answer, if anybody still waits."""
        if not self.answers.done():
            self.answers.set_result(answers)

    def fail(self, error: BaseException) -> None:
        """Fail; each caller gets an error of its own, for raising one adds to it."""
        if not self.answers.done():
            self.answers.set_exception(_copy(error) if isinstance(error, StatusError) else error)


class Batcher(Generic[AnswerT]):
    """One a process.

    Args:
        send: Applies a batch; raises what is no StatusError, or Invalid, when a value in it is to blame.
        send_doubtful: Does the same more slowly, and answers for an item that the database can't take.
        limits: How much goes together.
    """

    def __init__(self, send: Send[AnswerT], send_doubtful: Send[AnswerT], *, limits: BatchLimits | None = None) -> None:
        self._send = send
        self._send_doubtful = send_doubtful
        self._limits = limits or BatchLimits()
        self._waiting: deque[_Entry[AnswerT]] = deque()
        self._waiting_bytes = 0
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, items: Sequence[Item]) -> Sequence[AnswerT]:
        """Apply one caller's items in order, in one transaction with those of others.

        A caller that is cancelled before its batch is sent writes nothing; after that, nobody knows.

        Raises:
            Timeout: The writes before these took too long; nothing was written.
            Unavailable: The database can't be reached, or too much waits already.
        """
        if not items:
            return []
        entry: _Entry[AnswerT] = _Entry(items)
        if self._waiting and self._waiting_bytes + entry.size_bytes > self._limits.waiting_bytes:
            self._drop_over()
        if self._waiting and self._waiting_bytes + entry.size_bytes > self._limits.waiting_bytes:
            raise Unavailable("too many writes wait for the database; try again", retry_after_seconds=1)
        self._waiting.append(entry)
        self._waiting_bytes += entry.size_bytes
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all(), name="store-batches")
        return await entry.answers

    @property
    def waiting(self) -> int:
        """How many callers' writes gather for the next batch."""
        return len(self._waiting)

    def _drop_over(self) -> None:
        """Forget those who wait no more: they shall not keep others out."""
        self._waiting = deque(entry for entry in self._waiting if not entry.is_over)
        self._waiting_bytes = sum(entry.size_bytes for entry in self._waiting)

    async def drain(self) -> None:
        """Return when everything that waits has been written."""
        while self._sending is not None:
            await asyncio.wait({self._sending})

    async def _send_all(self) -> None:
        """Batch after batch, until nothing waits."""
        batch: list[_Entry[AnswerT]] = []
        try:
            while True:
                await self._gather()
                batch = self._take()
                if not batch:
                    return
                with self._impatience():
                    await self._settle(batch)
        finally:
            # Nothing is left unless this task was cancelled: the loop is being closed.
            self._sending = None
            for entry in batch:
                entry.fail(
                    OutcomeUnknown("the process is stopping; whether the change was saved is unknown; read it again")
                )
            for entry in self._waiting:
                entry.fail(Unavailable("the process is stopping; nothing was written"))
            self._waiting.clear()
            self._waiting_bytes = 0

    async def _gather(self) -> None:
        """Let those who can write now do so: whoever was just answered often writes again."""
        for _ in range(_MOST_TURNS):
            count = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == count:
                return

    def _take(self) -> list[_Entry[AnswerT]]:
        """The next batch: whole lists of callers who still wait, in the order in which they came."""
        batch: list[_Entry[AnswerT]] = []
        count = size_bytes = 0
        while self._waiting:
            entry = self._waiting[0]
            if not entry.is_over:
                count += len(entry.items)
                size_bytes += entry.size_bytes
                if batch and (count > self._limits.items or size_bytes > self._limits.batch_bytes):
                    break
                batch.append(entry)
            self._waiting.popleft()
            self._waiting_bytes -= entry.size_bytes
        return batch

    @contextmanager
    def _impatience(self) -> Generator[None]:
        """Inside the block, those who have waited too long behind it are told so."""
        loop = asyncio.get_running_loop()
        wait_seconds = self._limits.wait_seconds
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            now = loop.time()
            next_look = now + wait_seconds
            for entry in self._waiting:
                if entry.came_at + wait_seconds <= now:
                    entry.fail(Timeout(f"the writes before these took over {wait_seconds:g} s; nothing was written"))
                elif not entry.is_over:
                    next_look = entry.came_at + wait_seconds
                    break
            timer = loop.call_at(next_look, look)

        timer = loop.call_later(wait_seconds, look)
        try:
            yield
        finally:
            timer.cancel()

    async def _settle(self, batch: Sequence[_Entry[AnswerT]]) -> None:
        """Send a batch and answer everybody in it."""
        try:
            answers = await self._try(self._send, batch)
        except Invalid:
            await self._settle_doubtful(batch)
        except StatusError as error:
            _fail_all(batch, error)
        except Exception:  # noqa: BLE001 - which of them is to blame is found by trying each for itself
            await self._settle_doubtful(batch)
        else:
            _answer_all(batch, answers)

    async def _settle_doubtful(self, batch: Sequence[_Entry[AnswerT]]) -> None:
        """Something in the batch fails the whole: each item may fail alone, and at worst each caller."""
        try:
            answers = await self._try(self._send_doubtful, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller is told
            is_outage = isinstance(error, StatusError) and not isinstance(error, Invalid)
            if len(batch) == 1 or is_outage:
                _fail_all(batch, error)
            else:
                for entry in batch:
                    await self._settle_doubtful([entry])
        else:
            _answer_all(batch, answers)

    async def _try(self, send: Send[AnswerT], batch: Sequence[_Entry[AnswerT]]) -> Sequence[AnswerT]:
        """Send, and again after a collision with other transactions, which saved nothing."""
        items = [item for entry in batch for item in entry.items]
        for _ in range(_MOST_COLLISIONS):
            try:
                return await send(items)
            except SerializationConflict:
                continue
        return await send(items)


def _answer_all(batch: Sequence[_Entry[AnswerT]], answers: Sequence[AnswerT]) -> None:
    count = sum(len(entry.items) for entry in batch)
    if len(answers) != count:
        told = f"the database gave {len(answers)} answers to {count} writes"
        _fail_all(batch, OutcomeUnknown(f"{told}; whether the change was saved is unknown; read it again"))
        return
    begin = 0
    for entry in batch:
        end = begin + len(entry.items)
        entry.succeed(answers[begin:end])
        begin = end


def _fail_all(batch: Sequence[_Entry[AnswerT]], error: BaseException) -> None:
    for entry in batch:
        entry.fail(error)


def _copy(error: StatusError) -> StatusError:
    copied = type(error)(error.message, details=error.details, retry_after_seconds=error.retry_after_seconds)
    copied.__cause__ = error.__cause__
    return copied
