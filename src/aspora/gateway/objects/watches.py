"""watch for every kind: changes as they happen, of those objects that the caller may see."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import NamedTuple

from aspora.access.interface import Caller
from aspora.gateway.objects.hidden import mask
from aspora.gateway.objects.reads import ObjectReads, Selection
from aspora.gateway.objects.resources import Target, require_verb
from aspora.gateway.streams import MAX_STREAM_SECONDS, close_source
from aspora.store.interface import Event, Store

LIST_LIMIT = 500


class WatchEvent(NamedTuple):
    """An event, and whether a watch can go on from its version: not amid the list that comes first."""

    event: Event
    is_place: bool = True


class ObjectWatches:
    """Opens watches."""

    def __init__(self, *, store: Store, reads: ObjectReads) -> None:
        self._store = store
        self._reads = reads

    async def open(
        self, caller: Caller, target: Target, selection: Selection, *, since: str | None
    ) -> AsyncGenerator[WatchEvent]:
        """Check, then give the stream of events.

        Args:
            since: A resource version; None for all objects as ADDED first, then a BOOKMARK.
        """
        require_verb(target, "watch")
        seen = await self._reads.visible(caller, "watch", target, selection)
        return self._events(target, seen, since)

    async def _events(self, target: Target, seen: Selection, since: str | None) -> AsyncGenerator[WatchEvent]:
        kind = target.kind
        if since is None:
            token: str | None = None
            while since is None or token is not None:
                page = await self._store.list(
                    kind.kind,
                    domain=seen.domain,
                    labels=seen.labels,
                    fields=seen.fields,
                    limit=LIST_LIMIT,
                    continue_token=token,
                )
                # The first page's version: changes between two pages come again as events, and none is missed.
                since, token = since or page.resource_version, page.continue_token
                for obj in page.items:
                    yield WatchEvent(Event("ADDED", mask(kind, obj)), is_place=False)
            yield WatchEvent(Event("BOOKMARK", {"metadata": {"resourceVersion": since}}))
        changes = self._store.watch(kind.kind, domain=seen.domain, since=since, labels=seen.labels, fields=seen.fields)
        try:
            async for event in changes:
                hide = kind.hidden and event.type != "BOOKMARK"
                yield WatchEvent(Event(event.type, mask(kind, event.object)) if hide else event)
        finally:
            await close_source(changes)


def watch_seconds(caller: Caller, wanted_seconds: int | None, *, now: datetime) -> float:
    """How long a watch may last: as wished, never past the cap or the caller's credential."""
    limits = [MAX_STREAM_SECONDS]
    if wanted_seconds is not None:
        limits.append(float(wanted_seconds))
    if caller.expires_at is not None:
        limits.append(max(0.0, (caller.expires_at - now).total_seconds()))
    return min(limits)
