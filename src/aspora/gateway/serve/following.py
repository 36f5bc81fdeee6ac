"""The events of one execution as a stream: those there are, then those to come until its end."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.records.events import FINISHED, Events, event_wire
from aspora.records.rows import START
from aspora.records.wakeups import CHANGED

_PAGE: Final = 1000
_PROBE_SECONDS: Final = 0.5
_MIN_PAUSE_SECONDS: Final = 0.05


async def events_so_far(events: Events, execution: str) -> AsyncGenerator[Mapping[str, Any]]:
    """Every event there is now."""
    cursor = START
    while page := await events.read(execution, after=cursor, limit=_PAGE):
        for event in page:
            yield event_wire(event)
        if len(page) < _PAGE:
            return
        cursor = page[-1].cursor


async def follow(events: Events, listener: Listener, execution: str) -> AsyncGenerator[Mapping[str, Any]]:
    """Every event in an order that misses none, up to the one that says that the execution has ended."""
    cursor = START
    with listener.subscribe(CHANGED) as wakeups:
        while True:
            page = await events.tail(execution, after=cursor, limit=_PAGE)
            for event in page:
                yield event_wire(event)
                if event.type == FINISHED:
                    return
                cursor = event.cursor
            if len(page) < _PAGE:
                # Any execution's end wakes us: the pause keeps many followers from asking at each.
                await asyncio.sleep(_MIN_PAUSE_SECONDS)
                await wakeups.wait(_PROBE_SECONDS)
