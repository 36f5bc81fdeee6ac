"""One watch: first what the log holds since the given version, then what the tail hands on, with bookmarks between."""

from collections.abc import AsyncGenerator, Callable

from aspora.store.interface import Event
from aspora.store.log import EventLog, expired
from aspora.store.selection import Selection
from aspora.store.tail import Feed, Tail

REPLAY_LIMIT = 500


async def follow(
    event_log: EventLog,
    tail: Tail,
    selection: Selection,
    *,
    since: int,
    bookmark_seconds: float,
    monotonic: Callable[[], float],
) -> AsyncGenerator[Event]:
    """Every event of the selection after `since`, once, in order.

    Raises:
        Expired: `since` is not, or is no longer, a place in the kept history.
        Unavailable: The database can't be reached at the start.
    """
    place = await event_log.position(since)
    # The feed opens before the replay: what the tail hands on from here on waits in its queue.
    with tail.joined(selection, place) as feed:
        async for event in _replay(event_log, feed, since=since):
            yield event
        version = max(since, feed.start)
        bookmark_at = monotonic() + bookmark_seconds
        while not feed.is_ended:
            news = await feed.take(max(0.0, bookmark_at - monotonic()))
            if news is not None and news[0] > version:
                version = news[0]
                yield news[1]
            elif news is None and monotonic() >= bookmark_at:
                version = max(version, tail.version)
                yield _bookmark(version)
                bookmark_at = monotonic() + bookmark_seconds


async def _replay(event_log: EventLog, feed: Feed, *, since: int) -> AsyncGenerator[Event]:
    """The log's events after `since` up to where the feed begins."""
    while since < feed.start:
        piece = await event_log.read([feed.selection.kind], after=since, upto=feed.start, limit=REPLAY_LIMIT)
        if since < piece.position.compacted:
            raise expired(since, "was overtaken by the end of the kept history")
        for change in piece.changes:
            event = feed.selection.event_of(change)
            if event is not None:
                yield event
        since = piece.changes[-1].version if len(piece.changes) == REPLAY_LIMIT else feed.start


def _bookmark(version: int) -> Event:
    return Event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
