"""The tail over a log that the test holds in its hands."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from aspora.db.listen import Subscription
from aspora.meta.errors import Expired, Unavailable
from aspora.store.following import follow
from aspora.store.interface import Event
from aspora.store.log import Piece, Position
from aspora.store.selection import Change, Selection
from aspora.store.tail import READ_LIMIT, Tail


@dataclass
class Log:
    """A history in memory; a gate holds reads back."""

    changes: list[Change] = field(default_factory=list[Change])
    compacted: int = 0
    server: str = "one"
    is_down: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reads: int = 0
    kinds_read: list[Sequence[str]] = field(default_factory=list[Sequence[str]])
    has_read: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def newest(self) -> int:
        return max(self.compacted, self.changes[-1].version if self.changes else 0)

    def add(self, count: int = 1, kind: str = "K") -> None:
        for _ in range(count):
            version = self.newest + 1
            obj: dict[str, Any] = {"metadata": {"name": f"n{version}", "resourceVersion": str(version)}}
            self.changes.append(Change(version, kind, "", "ADDED", obj, None))

    async def wait_reads(self, count: int) -> None:
        """Until the tail has read so many times."""
        async with self.has_read:
            await self.has_read.wait_for(lambda: self.reads >= count)

    async def position(self, since: int) -> Position:
        if since < self.compacted:
            raise Expired("too old")
        return Position(self.newest, self.compacted, self.server)

    async def read(self, kinds: Sequence[str], *, after: int, upto: int, limit: int) -> Piece:
        self.reads += 1
        self.kinds_read.append(kinds)
        async with self.has_read:
            self.has_read.notify_all()
        if self.is_down:
            raise Unavailable("down")
        found = [c for c in self.changes if after < c.version <= upto and c.kind in kinds][:limit]
        piece = Piece(Position(self.newest, self.compacted, self.server), tuple(found))
        await self.gate.wait()
        return piece


@dataclass
class Bench:
    """A running tail; `wake` is what NOTIFY would be."""

    log: Log
    tail: Tail
    wakes: Subscription
    stop: asyncio.Event
    now: list[float]

    def watch(self, since: int = 0, kind: str = "K", bookmark_seconds: float = 60) -> AsyncGenerator[Event]:
        options: dict[str, Any] = {"bookmark_seconds": bookmark_seconds, "monotonic": asyncio.get_running_loop().time}
        return follow(self.log, self.tail, Selection(kind), since=since, **options)


@asynccontextmanager
async def running(*, probe_seconds: float = 60.0, queue_limit: int = 100) -> AsyncGenerator[Bench]:
    log, wakes, stop, now = Log(), Subscription(), asyncio.Event(), [0.0]
    tail = Tail(
        log,
        subscribe=lambda: nullcontext(wakes),
        monotonic=lambda: now[0],
        probe_seconds=probe_seconds,
        queue_limit=queue_limit,
    )
    task = asyncio.create_task(tail.run(stop))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        try:
            yield Bench(log, tail, wakes, stop, now)
        finally:
            log.gate.set()
            stop.set()
            await task


async def versions(events: AsyncGenerator[Event], count: int) -> list[int]:
    return [int((await anext(events)).object["metadata"]["resourceVersion"]) for _ in range(count)]


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_replay_then_live_without_gap_or_repeat() -> None:
    async with running() as bench:
        bench.log.add(3)
        events = bench.watch(since=1)
        assert await versions(events, 2) == [2, 3]
        bench.log.add(2)
        bench.wakes.wake()
        assert await versions(events, 2) == [4, 5]


async def test_changes_during_the_replay_wait_in_the_queue() -> None:
    async with running() as bench:
        bench.log.add(3)
        events = bench.watch()
        assert await versions(events, 1) == [1]
        bench.log.add(3)
        bench.wakes.wake()
        await settle()
        assert await versions(events, 5) == [2, 3, 4, 5, 6]


async def test_a_watch_from_ahead_of_the_tail_hears_nothing_twice() -> None:
    async with running() as bench:
        first = bench.watch()
        waiting = asyncio.create_task(versions(first, 3))
        await settle()
        bench.log.add(3)
        second = bench.watch(since=2)
        ahead = asyncio.create_task(versions(second, 1))
        await settle()
        bench.wakes.wake()
        assert await waiting == [1, 2, 3]
        assert await ahead == [3]


async def test_it_probes_when_no_notification_comes() -> None:
    async with running(probe_seconds=0.01) as bench:
        events = bench.watch()
        waiting = asyncio.create_task(versions(events, 1))
        await bench.log.wait_reads(2)
        bench.log.add()
        assert await waiting == [1]


async def test_nobody_watching_means_no_reading() -> None:
    async with running(probe_seconds=0.001) as bench:
        bench.wakes.wake()
        await settle()
        assert bench.log.reads == 0
        assert bench.tail.age_seconds() == float("inf")
        events = bench.watch()
        waiting = asyncio.create_task(versions(events, 1))
        bench.log.add()
        await waiting
        await events.aclose()
        await settle()
        reads = bench.log.reads
        bench.wakes.wake()
        await settle()
        assert bench.log.reads == reads
        assert bench.tail.age_seconds() == float("inf")


async def test_a_newcomer_of_another_kind_during_a_read_misses_nothing() -> None:
    async with running() as bench:
        first = asyncio.create_task(versions(bench.watch(), 1))
        await settle()
        bench.log.gate.clear()
        bench.log.add(1, kind="L")
        bench.log.add(1)
        bench.wakes.wake()
        await settle()  # The tail's read of kind K alone is under way; it would carry the tail past version 1.
        second = asyncio.create_task(versions(bench.watch(since=0, kind="L"), 1))
        await settle()
        bench.log.gate.set()
        assert await first == [2]
        assert await second == [1]
        assert bench.log.kinds_read[-1] == ["K", "L"]


async def test_leaving_and_coming_back_during_a_read_repeats_nothing() -> None:
    async with running() as bench:
        first = bench.watch()
        waiting = asyncio.create_task(versions(first, 1))
        await settle()
        bench.log.gate.clear()
        bench.log.add(2)
        bench.wakes.wake()
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        second = bench.watch(since=1)
        again = asyncio.create_task(versions(second, 2))
        await settle()
        bench.log.gate.set()
        await settle()
        bench.log.add()
        bench.wakes.wake()
        assert await again == [2, 3]


async def test_a_burst_larger_than_one_read_comes_whole() -> None:
    async with running(queue_limit=10 * READ_LIMIT) as bench:
        events = bench.watch()
        waiting = asyncio.create_task(versions(events, 2 * READ_LIMIT + 7))
        await settle()
        bench.log.add(2 * READ_LIMIT + 7)
        bench.wakes.wake()
        assert await waiting == list(range(1, 2 * READ_LIMIT + 8))


async def test_a_long_replay_comes_whole() -> None:
    async with running() as bench:
        bench.log.add(1203)
        assert await versions(bench.watch(), 1203) == list(range(1, 1204))


async def test_a_watcher_that_falls_behind_is_expired_and_the_others_are_not() -> None:
    async with running(queue_limit=10) as bench:
        slow, quick = bench.watch(), bench.watch()
        slow_waits, quick_heard = asyncio.create_task(versions(slow, 1)), list[int]()

        async def follow_quickly() -> None:
            async for event in quick:
                quick_heard.append(int(event.object["metadata"]["resourceVersion"]))

        following = asyncio.create_task(follow_quickly())
        await settle()
        for _ in range(12):
            bench.log.add()
            bench.wakes.wake()
            await settle()
        assert await slow_waits == [1]
        with pytest.raises(Expired, match="10 changes behind"):
            await anext(slow)
        assert quick_heard == list(range(1, 13))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("what", ["restarted", "compacted", "restored"])
async def test_when_history_does_not_go_on_every_watcher_is_expired(what: str) -> None:
    async with running() as bench:
        bench.log.add(5)
        waits = [asyncio.create_task(versions(bench.watch(since=5), 1)) for _ in range(2)]
        await settle()
        match what:
            case "restarted":
                bench.log.server = "two"
            case "compacted":
                bench.log.compacted = 9
            case _:
                del bench.log.changes[2:]
        bench.wakes.wake()
        for waiting in waits:
            with pytest.raises(Expired, match="list again"):
                await waiting
        fresh = bench.watch(since=bench.log.newest)
        waiting = asyncio.create_task(versions(fresh, 1))
        await settle()
        bench.log.add()
        bench.wakes.wake()
        assert await waiting == [bench.log.newest]


async def test_history_that_ends_under_a_replay_is_expired() -> None:
    async with running() as bench:
        bench.log.add(3)
        events = bench.watch()
        bench.log.gate.clear()
        waiting = asyncio.create_task(versions(events, 1))
        original = bench.log.position

        async def position(since: int) -> Position:
            place = await original(since)
            bench.log.compacted = 2
            return place

        bench.log.position = position  # type: ignore[method-assign]
        bench.log.gate.set()
        with pytest.raises(Expired, match="overtaken"):
            await waiting


async def test_a_database_that_goes_away_and_comes_back_loses_nothing() -> None:
    async with running(probe_seconds=0.01) as bench:
        events = bench.watch()
        waiting = asyncio.create_task(versions(events, 2))
        await settle()
        bench.log.is_down = True
        bench.log.add()
        bench.wakes.wake()
        await settle()
        bench.log.is_down = False
        bench.log.add()
        assert await waiting == [1, 2]


async def test_age_counts_from_before_the_read_that_found_nothing_more() -> None:
    async with running() as bench:
        waiting = asyncio.create_task(versions(bench.watch(), 1))
        await settle()
        bench.now[0] = 3.0
        assert bench.tail.age_seconds() == 3.0
        bench.log.gate.clear()
        bench.wakes.wake()
        await settle()
        bench.now[0] = 5.0
        bench.log.gate.set()
        await settle()
        assert bench.tail.age_seconds() == 2.0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_bookmarks_tell_where_the_tail_is_and_never_less_than_what_was_told() -> None:
    async with running() as bench:
        events = bench.watch(bookmark_seconds=0.01)
        waiting = asyncio.create_task(anext(events))
        await settle()
        bench.log.add(4, kind="L")
        bench.wakes.wake()
        seen = [await waiting]
        while seen[-1].object["metadata"]["resourceVersion"] != "4":
            seen.append(await anext(events))
        assert {event.type for event in seen} == {"BOOKMARK"}


async def test_a_stop_ends_every_watch_after_what_is_queued() -> None:
    async with running() as bench:
        events = bench.watch()
        waiting = asyncio.create_task(versions(events, 1))
        await settle()
        bench.log.add(2)
        bench.wakes.wake()
        await waiting
        bench.stop.set()
        await settle()
        assert [event.object["metadata"]["name"] async for event in events] == ["n2"]
        assert [event async for event in bench.watch(since=2)] == []


async def test_a_crash_of_the_loop_keeps_the_watchers() -> None:
    log, wakes, stop = Log(), Subscription(), asyncio.Event()

    @contextmanager
    def subscribe() -> Generator[Subscription]:
        yield wakes

    tail = Tail(log, subscribe=subscribe, monotonic=lambda: 0.0, probe_seconds=0.01)
    original = log.read

    async def broken(*_: Any, **__: Any) -> Piece:
        raise RuntimeError("defect")

    log.read = broken  # type: ignore[method-assign]
    options: dict[str, Any] = {"since": 0, "bookmark_seconds": 60, "monotonic": asyncio.get_running_loop().time}
    waiting = asyncio.create_task(versions(follow(log, tail, Selection("K"), **options), 1))
    await settle()
    with pytest.raises(RuntimeError):
        await tail.run(stop)
    log.read = original  # type: ignore[method-assign]
    log.add()
    again = asyncio.create_task(tail.run(stop))
    async with asyncio.timeout(30):
        assert await waiting == [1]
    stop.set()
    await again
