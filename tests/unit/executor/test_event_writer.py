import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from aspora.executor.event_writer import EventWriter
from aspora.executor.trace import Trace
from aspora.kit.clock import Clock
from aspora.meta.names import NodeId
from aspora.records.events import Addressed, Events
from aspora.records.rows import Claim, Owner
from aspora.records.wakeups import CHANGED, Wakeups


class Kept:
    """Stands for the events table and for the wake-ups."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.sent: list[str] = []

    async def append(self, owner: Owner, events: Sequence[Addressed]) -> int:
        self.events += [e.event.type for e in events]
        return len(events)

    def send(self, channel: str) -> None:
        self.sent.append(channel)


def make() -> tuple[EventWriter, Kept]:
    kept = Kept()
    return EventWriter(cast("Events", kept), cast("Wakeups", kept), Owner(NodeId("node"), 1)), kept


async def test_the_stop_ends_it_while_nothing_happens() -> None:
    writer, kept = make()
    stop = asyncio.Event()
    running = asyncio.create_task(writer.run(stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(30):
        await running
    assert kept.sent == []


async def test_what_happened_just_before_the_stop_is_written(make_claim: Callable[..., Claim], clock: Clock) -> None:
    writer, kept = make()
    stop = asyncio.Event()
    running = asyncio.create_task(writer.run(stop))
    await asyncio.sleep(0)
    Trace(make_claim(), clock, on_event=writer).emit("Started")
    stop.set()
    async with asyncio.timeout(30):
        await running
    assert (kept.events, kept.sent) == (["Started"], [CHANGED])
