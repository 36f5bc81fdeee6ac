"""The object store in PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from aspora.db.failures import ConnectionLost, OutcomeUnknown
from aspora.db.listen import Listener
from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.kit.clock import Clock
from aspora.meta.errors import (
    BadRequest,
    Expired,
    StatusError,
)
from aspora.meta.objects import rfc3339
from aspora.meta.selectors import Requirement
from aspora.store.batcher import Batcher, BatchLimits
from aspora.store.following import follow
from aspora.store.forms import Forms, OneForm, read_form, stamp
from aspora.store.interface import Event, Key, Page, Wire, Write, WriteResult
from aspora.store.items import Item, are_independent, encoded
from aspora.store.log import PostgresLog
from aspora.store.payload import payload
from aspora.store.refusals import missing, refusal
from aspora.store.selection import DOMAIN_PATH, NAME_PATH, Selection
from aspora.store.tail import PROBE_SECONDS, QUEUE_LIMIT, Tail
from aspora.store.tokens import PageStart, decode_token, encode_token, parse_version

CHANNEL: Final = "aspora_objects"
"""NOTIFY channel of every change; the listener must be made for it."""

BOOKMARK_SECONDS = 30.0
MAX_LIMIT = 5000

_DATED = frozenset({"create", "delete"})
"""Writes that set an instant in the object."""

_queries = Queries.load("aspora.store", "objects.sql")


def _random_uid() -> str:
    return str(uuid.uuid4())


class PostgresStore:
    """A `Store`; one a process. Watches get their events while `run` runs.

    Args:
        database: Where the objects are.
        listener: Made for `CHANNEL`, on the same database.
        clock: For the objects' timestamps and the tail's age.
        new_uid: Makes the uids.
        probe_seconds: How often the tail looks without being woken.
        bookmark_seconds: How often a quiet watch gets a bookmark.
        queue_limit: How many events a watcher may be behind before it gets `Expired`.
        batch_limits: How many writes share a statement.
        forms: Schema versions of kinds; without it none has ever changed.
    """

    def __init__(
        self,
        database: Database,
        listener: Listener,
        clock: Clock,
        *,
        new_uid: Callable[[], str] = _random_uid,
        probe_seconds: float = PROBE_SECONDS,
        bookmark_seconds: float = BOOKMARK_SECONDS,
        queue_limit: int = QUEUE_LIMIT,
        batch_limits: BatchLimits | None = None,
        forms: Forms | None = None,
    ) -> None:
        self._database = database
        self._forms = forms or OneForm()
        self._clock = clock
        self._new_uid = new_uid
        self._bookmark_seconds = bookmark_seconds
        self._batcher = Batcher(self._send, self._send_doubtful, limits=batch_limits)
        self._log = PostgresLog(database, self._forms)
        self._tail = Tail(
            self._log,
            subscribe=lambda: listener.subscribe(CHANNEL),
            monotonic=clock.monotonic,
            probe_seconds=probe_seconds,
            queue_limit=queue_limit,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Feed the watches until `stop`; then they end, and what waits to be written is written."""
        await self._tail.run(stop)
        await self._batcher.drain()

    @property
    def waiting_writers(self) -> int:
        """How many callers' writes gather for the next batch."""
        return self._batcher.waiting

    def tail_age_seconds(self) -> float:
        """How long ago every change until then was known to be handed on; infinite while nobody watches."""
        return self._tail.age_seconds()

    async def get(self, key: Key) -> Wire:
        """The object."""
        found = await self._stored(key)
        if found is None:
            raise missing(key)
        return read_form(self._forms, key.kind, found)

    async def _stored(self, key: Key) -> Wire | None:
        async with self._database.connection() as connection:
            return await _queries.fetch_value(connection, "get_object", kind=key.kind, domain=key.domain, name=key.name)

    async def list(
        self,
        kind: str,
        *,
        domain: str | None = None,
        labels: Sequence[Requirement] = (),
        fields: Sequence[Requirement] = (),
        limit: int = 500,
        continue_token: str | None = None,
    ) -> Page:
        """Objects of a kind by (domain, name), from one snapshot a page."""
        if not 1 <= limit <= MAX_LIMIT:
            raise BadRequest(f"limit is {limit}; use 1 to {MAX_LIMIT}")
        selection = Selection(kind, domain, tuple(labels), tuple(fields))
        if self._forms.newest(kind) == 1:
            return await self._page(selection, selection, limit=limit, continue_token=continue_token)
        # The database has older forms too: only what no converter touches can be selected there.
        narrow = replace(selection, fields=tuple(r for r in fields if r.key in {NAME_PATH, DOMAIN_PATH}))
        while True:
            page = await self._page(selection, narrow, limit=limit, continue_token=continue_token)
            newest = (read_form(self._forms, kind, obj) for obj in page.items)
            page = replace(page, items=tuple(obj for obj in newest if selection.matches(obj)))
            continue_token = page.continue_token
            if page.items or continue_token is None:
                return page

    async def _page(self, selection: Selection, narrow: Selection, *, limit: int, continue_token: str | None) -> Page:
        """A page as it is stored; `narrow` is as much of the selection as the database may apply."""
        query = selection.digest()
        start = decode_token(continue_token, query=query) if continue_token is not None else None
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection,
                "list_objects",
                **narrow.to_sql(),
                after_domain=start.domain if start else None,
                after_name=start.name if start else None,
                limit=limit + 1,
            )
        return _page(rows, limit=limit, start=start, query=query)

    async def write(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        """Apply a list of writes in order, in one transaction."""
        now = rfc3339(self._clock.now()) if any(write.op in _DATED for write in writes) else ""
        items = [await self._item(write, at=now) for write in writes]
        rows = iter(await self._batcher.submit([item for item in items if isinstance(item, Item)]))
        return [
            WriteResult(None, item) if isinstance(item, StatusError) else self._result(write, next(rows))
            for write, item in zip(writes, items, strict=True)
        ]

    async def _item(self, write: Write, *, at: str) -> Item | StatusError:
        """A write as the database takes it, in the newest form of its kind; or why it takes it not."""
        uid, forms = self._new_uid() if write.op == "create" else "", self._forms
        try:
            item = payload(write, uid=uid, at=at)
        except StatusError as error:
            return error
        if forms.newest(write.key.kind) > 1:
            stamp(forms, item, None if write.op in {"create", "delete"} else await self._stored(write.key))
        try:
            return encoded(write, item)
        except StatusError as error:
            return error

    def _result(self, write: Write, row: Row) -> WriteResult:
        outcome: str = row["outcome"]
        if outcome in {"written", "unchanged", "deleted"}:
            obj = read_form(self._forms, write.key.kind, row["result"])
            return WriteResult(obj, is_deleted=outcome == "deleted")
        return WriteResult(None, refusal(write, outcome, row["present_version"]))

    async def watch(
        self,
        kind: str,
        *,
        domain: str | None = None,
        since: str,
        labels: Sequence[Requirement] = (),
        fields: Sequence[Requirement] = (),
    ) -> AsyncGenerator[Event]:
        """Every change after `since`, once, in order, then the changes to come."""
        events = follow(
            self._log,
            self._tail,
            Selection(kind, domain, tuple(labels), tuple(fields)),
            since=parse_version(since),
            bookmark_seconds=self._bookmark_seconds,
            monotonic=self._clock.monotonic,
        )
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def _send(self, items: Sequence[Item]) -> Sequence[Row]:
        text = f"[{','.join(item.text for item in items)}]"
        # Touching each table once has a price of its own, which one item does not earn.
        together = len(items) > 1 and are_independent(items)
        return await self._call("write_independent_objects" if together else "write_objects", text)

    async def _send_doubtful(self, items: Sequence[Item]) -> Sequence[Row]:
        return await self._call("write_doubtful_objects", [item.text for item in items])

    async def _call(self, query: str, writes: Any) -> Sequence[Row]:
        """One statement, which is its own transaction: the writers' lock is held for no round trip."""
        is_sent = False
        try:
            async with self._database.connection() as connection:
                is_sent = True
                return await _queries.fetch_all(connection, query, writes=writes)
        except ConnectionLost as error:
            if not is_sent:
                raise
            raise OutcomeUnknown(
                f"{error.message}; whether the change was saved is unknown: read it again",
                retry_after_seconds=error.retry_after_seconds,
            ) from error


def _page(rows: Sequence[Row], *, limit: int, start: PageStart | None, query: str) -> Page:
    place = rows[0]
    version: int = place["newest"]
    if start is not None:
        if not place["compacted"] <= start.version <= version:
            raise Expired("the continue token's history is gone; list again from the start")
        version = start.version
    found = [row for row in rows if row["object"] is not None]
    token: str | None = None
    if len(found) > limit:
        found.pop()
        token = encode_token(PageStart(version, found[-1]["domain"], found[-1]["name"]), query=query)
    return Page(tuple(row["object"] for row in found), str(version), token)
