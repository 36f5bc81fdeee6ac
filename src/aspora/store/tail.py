"""One reader of the event log for all watchers of a process.

It wakes on NOTIFY and by probing, reads what is new once, and hands each watcher its events over a bounded queue. While
nobody watches it reads nothing. A watcher never loses an event in silence: it gets `Expired` instead.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from aspora.kit.backoff import Backoff
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import Expired, StatusError
from aspora.store.interface import Event
from aspora.store.log import MAX_VERSION, EventLog, Piece, Position, expired
from aspora.store.selection import Selection
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)

PROBE_SECONDS = 0.25
IDLE_SECONDS = 60.0
READ_LIMIT = 500
QUEUE_LIMIT = 2000
QUEUE_BYTES = 16 * 1024 * 1024

_BACKOFF = Backoff(base_seconds=0.1, max_seconds=2.0)


class WakeUps(Protocol):
    """A memory of one channel's notifications (`aspora.db.listen.Subscription`)."""

    def wake(self) -> None:
        """Let the present or the next `wait` return."""
        ...

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait at most so long; True when woken since the last call."""
        ...


class Feed:
    """One watcher's end of the tail.

    Attributes:
        start: The tail's place when the watcher came: it hears of every change after it, of none up to it.
    """

    def __init__(
        self, selection: Selection, *, start: int, queue_limit: int = QUEUE_LIMIT, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self.selection = selection
        self.start = start
        self._queue: deque[tuple[int, Event, int]] = deque()
        self._queued_bytes = 0
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._has_news = asyncio.Event()
        self._error: StatusError | None = None
        self._is_ended = False

    def put(self, version: int, event: Event, size_bytes: int = 0) -> None:
        """Queue an event; one too many, or too much of them, ends the feed."""
        if len(self._queue) >= self._queue_limit:
            self.fail(expired(self._queue[0][0], f"is {self._queue_limit} changes behind, which is the most we keep"))
        elif self._queue and self._queued_bytes + size_bytes > self._queue_bytes:
            why = f"is over {self._queue_bytes} bytes of changes behind, which is the most we keep"
            self.fail(expired(self._queue[0][0], why))
        elif self._error is None:
            self._queue.append((version, event, size_bytes))
            self._queued_bytes += size_bytes
            self._has_news.set()

    def fail(self, error: StatusError) -> None:
        """Drop what is queued and end with an error."""
        self._queue.clear()
        self._queued_bytes = 0
        self._error = self._error or error
        self._has_news.set()

    def end(self) -> None:
        """End after what is queued."""
        self._is_ended = True
        self._has_news.set()

    @property
    def is_ended(self) -> bool:
        """Whether `take` will never give an event again."""
        return self._is_ended and not self._queue

    async def take(self, timeout_seconds: float) -> tuple[int, Event] | None:
        """The next event and its version; None after the timeout, or when the feed has ended.

        Raises:
            Expired: The feed lost its place in history.
        """
        if not self._queue and self._error is None and not self._is_ended:
            await wait_for_event(self._has_news, timeout_seconds)
        self._has_news.clear()
        if self._error is not None:
            raise self._error
        if not self._queue:
            return None
        version, event, size_bytes = self._queue.popleft()
        self._queued_bytes -= size_bytes
        return version, event


class Tail:
    """The reader; `run` must be running.

    Args:
        event_log: Where events are read.
        subscribe: Opens the wake-ups by NOTIFY.
        monotonic: Seconds, for the age.
        probe_seconds: How long to wait for a wake-up before looking anyway.
        queue_limit: How many events a watcher may be behind.
        queue_bytes: How much these may take, about.
    """

    def __init__(
        self,
        event_log: EventLog,
        *,
        subscribe: Callable[[], AbstractContextManager[WakeUps]],
        monotonic: Callable[[], float],
        probe_seconds: float = PROBE_SECONDS,
        queue_limit: int = QUEUE_LIMIT,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._log = event_log
        self._subscribe = subscribe
        self._monotonic = monotonic
        self._probe_seconds = probe_seconds
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._feeds: dict[str, set[Feed]] = {}
        self._place: Position | None = None
        self._caught_up_at: float | None = None
        self._wake_ups: WakeUps | None = None
        self._attempt = 0
        self._is_stopped = False

    @property
    def version(self) -> int:
        """Every change up to this version has been handed on; 0 while nobody watches."""
        return self._place.newest if self._place else 0

    def age_seconds(self) -> float:
        """How long ago every change until then was known to be handed on; infinite while nobody watches."""
        return float("inf") if self._caught_up_at is None else self._monotonic() - self._caught_up_at

    @contextmanager
    def joined(self, selection: Selection, place: Position) -> Generator[Feed]:
        """A feed for as long as the block runs.

        Args:
            selection: What it hears of.
            place: Where history stood a moment ago; the first watcher starts the tail there.
        """
        if self._place is None:
            self._place = place
        start = self._place.newest
        feed = Feed(selection, start=start, queue_limit=self._queue_limit, queue_bytes=self._queue_bytes)
        self._feeds.setdefault(selection.kind, set()).add(feed)
        if self._is_stopped:
            feed.end()
        if self._wake_ups is not None:
            self._wake_ups.wake()
        try:
            yield feed
        finally:
            self._leave(feed)

    def _leave(self, feed: Feed) -> None:
        kind = feed.selection.kind
        others = self._feeds.get(kind, set())
        others.discard(feed)
        if not others:
            self._feeds.pop(kind, None)
        if not self._feeds:
            self._place, self._caught_up_at = None, None

    async def run(self, stop: asyncio.Event) -> None:
        """Hand on changes until told to stop, then end every feed."""
        with self._subscribe() as wake_ups:
            self._wake_ups = wake_ups
            stopping = asyncio.create_task(stop.wait(), name="store-tail-stop")
            stopping.add_done_callback(lambda _: wake_ups.wake())
            try:
                while not stop.is_set():
                    await wake_ups.wait(await self._round())
            finally:
                self._wake_ups = None
                stopping.cancel()
        self._is_stopped = True
        for feed in self._all_feeds():
            feed.end()

    async def _round(self) -> float:
        """Read until nothing is new; how long to wait then."""
        try:
            while self._feeds:
                if await self._read_piece():
                    self._attempt = 0
                    return self._probe_seconds
        except StatusError as error:
            log.warning("the objects' tail lost the database", reason=error.reason, attempt=self._attempt)
            self._attempt += 1
            return _BACKOFF.delay_seconds(self._attempt)
        return IDLE_SECONDS

    async def _read_piece(self) -> bool:
        """Hand on the next piece; True when it was the last one."""
        place, kinds, began = self._place, set(self._feeds), self._monotonic()
        if place is None:
            return True
        piece = await self._log.read(sorted(kinds), after=place.newest, upto=MAX_VERSION, limit=READ_LIMIT)
        if self._place is not place or not kinds.issuperset(self._feeds):
            return False  # Somebody came or went meanwhile, and the piece may lack what the newcomer waits for.
        if self._lost_its_place(place, piece.position):
            return True
        is_last = len(piece.changes) < READ_LIMIT
        self._hand_on(piece)
        newest = piece.position.newest if is_last else piece.changes[-1].version
        self._place = Position(newest, piece.position.compacted, place.server)
        if is_last:
            self._caught_up_at = began
        return is_last

    def _lost_its_place(self, place: Position, now: Position) -> bool:
        """End every feed when history does not go on from the tail's place."""
        if now.server != place.server:
            why = "comes from before the database was restarted"
        elif place.newest < now.compacted or place.newest > now.newest:
            why = "is not in the kept history any more"
        else:
            return False
        log.warning("the objects' tail starts anew", cause=why)
        self._fail_all(expired(place.newest, why))
        return True

    def _fail_all(self, error: Expired) -> None:
        for feed in self._all_feeds():
            feed.fail(error)
        self._feeds.clear()
        self._place, self._caught_up_at = None, None

    def _hand_on(self, piece: Piece) -> None:
        for change in piece.changes:
            shared = Selection(change.kind).event_of(change)
            for feed in self._feeds.get(change.kind, ()):
                selection = feed.selection
                if not selection.is_whole:
                    event = selection.event_of(change)
                else:
                    event = shared if selection.domain in {None, change.domain} else None
                if event is not None:
                    feed.put(change.version, event, change.size_bytes)

    def _all_feeds(self) -> list[Feed]:
        return [feed for feeds in self._feeds.values() for feed in feeds]
