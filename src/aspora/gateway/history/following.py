"""Events as a stream: those there are, then each change to come; a quiet stream gets bookmarks."""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from aspora.db.listen import Listener
from aspora.meta.errors import Expired
from aspora.records.happenings import HappeningFilter, Happenings, cursor_of, happening_wire, version_of
from aspora.records.rows import Cursor
from aspora.records.wakeups import HAPPENED

_PAGE: Final = 500
_PROBE_SECONDS: Final = 2.0
_BOOKMARK_SECONDS: Final = 30.0

Change = Mapping[str, Any]


async def check_place(happenings: Happenings, since: Cursor) -> None:
    """A place must lie in this database's past.

    Raises:
        Expired: It comes from another history.
    """
    _, newest = await happenings.place()
    if since.xid > newest:
        raise Expired("the resourceVersion of these events comes from another history of the database; list again")


async def changes(
    happenings: Happenings,
    listener: Listener,
    wanted: HappeningFilter,
    *,
    since: Cursor | None,
    monotonic: Callable[[], float],
    bookmark_seconds: float = _BOOKMARK_SECONDS,
) -> AsyncGenerator[Change]:
    """`{type, object}` for each change, in an order that misses none.

    Args:
        happenings: Where they are.
        listener: Must hear `HAPPENED`.
        wanted: Which.
        since: Only changes after this place; None for all there are first, oldest first.
        monotonic: Seconds, for bookmarks.
        bookmark_seconds: How long a stream may be quiet.
    """
    listed: set[Cursor] = set()
    with listener.subscribe(HAPPENED) as wakeups:
        if since is None:
            page = await happenings.page(wanted, limit=_PAGE)
            since = page.place
            # While an older transaction is open, the place lies before rows that are listed: the tail meets them again.
            listed = {place for row in page.rows if (place := cursor_of(row)).xid >= since.xid}
            for row in reversed(page.rows):
                yield {"type": "ADDED", "object": happening_wire(row)}
        told = monotonic()
        while True:
            page = await happenings.tail(wanted, after=since, limit=_PAGE)
            for row in page.rows:
                if cursor_of(row) in listed:
                    continue
                yield {
                    "type": "ADDED" if row["first_at"] == row["last_at"] else "MODIFIED",
                    "object": happening_wire(row),
                }
                told = monotonic()
            since = page.place
            if len(page.rows) == _PAGE:
                continue
            if monotonic() - told >= bookmark_seconds:
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version_of(since)}}}
                told = monotonic()
            await wakeups.wait(_PROBE_SECONDS)
