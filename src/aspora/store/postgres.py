"""The object store in PostgreSQL."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from aspora.db.failures import ConnectionLost, OutcomeUnknown
from aspora.db.listen import Listener
from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.kit.clock import Clock
from aspora.meta.errors import AlreadyExists, BadRequest, Conflict, Expired, Internal, NotFound, StatusError
from aspora.meta.objects import rfc3339
from aspora.meta.selectors import Requirement
from aspora.store.following import follow
from aspora.store.forms import Forms, OneForm, read_form, stamp
from aspora.store.interface import Event, Key, Page, Wire, Write, WriteResult
from aspora.store.log import PostgresLog
from aspora.store.payload import payload
from aspora.store.selection import DOMAIN_PATH, NAME_PATH, Selection
from aspora.store.tail import PROBE_SECONDS, QUEUE_LIMIT, Tail
from aspora.store.tokens import PageStart, decode_token, encode_token, parse_version

CHANNEL: Final = "aspora_objects"
"""NOTIFY channel of every change; the listener must be made for it."""

BOOKMARK_SECONDS = 30.0
MAX_LIMIT = 5000

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
        forms: Forms | None = None,
    ) -> None:
        self._database = database
        self._forms = forms or OneForm()
        self._clock = clock
        self._new_uid = new_uid
        self._bookmark_seconds = bookmark_seconds
        self._log = PostgresLog(database, self._forms)
        self._tail = Tail(
            self._log,
            subscribe=lambda: listener.subscribe(CHANNEL),
            monotonic=clock.monotonic,
            probe_seconds=probe_seconds,
            queue_limit=queue_limit,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Feed the watches until `stop`; then they end."""
        await self._tail.run(stop)

    def tail_age_seconds(self) -> float:
        """How long ago every change until then was known to be handed on; infinite while nobody watches."""
        return self._tail.age_seconds()

    async def get(self, key: Key) -> Wire:
        """The object."""
        found = await self._stored(key)
        if found is None:
            raise NotFound(f"{_described(key)} does not exist")
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
        now = rfc3339(self._clock.now())
        items: list[dict[str, Any] | StatusError] = []
        for write in writes:
            try:
                items.append(payload(write, uid=self._new_uid(), at=now))
            except StatusError as refusal:
                items.append(refusal)
        await self._stamp(items)
        rows = iter(await self._write([item for item in items if not isinstance(item, StatusError)]))
        return [
            WriteResult(None, item) if isinstance(item, StatusError) else self._result(write, next(rows))
            for write, item in zip(writes, items, strict=True)
        ]

    async def _stamp(self, items: Sequence[dict[str, Any] | StatusError]) -> None:
        """Let items of kinds that have changed their form store the newest; others cost nothing."""
        for item in items:
            if not isinstance(item, StatusError) and self._forms.newest(item["kind"]) > 1:
                key = Key(item["kind"], item["domain"], item["name"])
                stamp(self._forms, item, None if item["op"] in {"create", "delete"} else await self._stored(key))

    def _result(self, write: Write, row: Row) -> WriteResult:
        outcome: str = row["outcome"]
        if outcome in {"written", "unchanged", "deleted"}:
            obj = read_form(self._forms, write.key.kind, row["result"])
            return WriteResult(obj, is_deleted=outcome == "deleted")
        return WriteResult(None, _refusal(write, outcome, row["present_version"]))

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

    async def _write(self, items: Sequence[dict[str, Any]]) -> Sequence[Row]:
        """One statement, which is its own transaction: the writers' lock is held for no round trip."""
        if not items:
            return []
        text = json.dumps(items, ensure_ascii=False, allow_nan=False)
        is_sent = False
        try:
            async with self._database.connection() as connection:
                is_sent = True
                return await _queries.fetch_all(connection, "write_objects", writes=text)
        except ConnectionLost as error:
            if not is_sent:
                raise
            raise OutcomeUnknown(f"{error.message}; whether the change was saved is unknown: read it again") from error


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


def _refusal(write: Write, outcome: str, present_version: str | None) -> StatusError:
    what = _described(write.key)
    match outcome:
        case "exists":
            return AlreadyExists(f"{what} exists already; update it, or delete it first")
        case "missing":
            return NotFound(f"{what} does not exist")
        case "replaced":
            return Conflict(f"{what} is another object of that name by now; read it again")
        case "homeless" if write.lives_in is not None:
            home = _described(write.lives_in)
            return Conflict(f"{what} can't be written: {home} is gone or being deleted, and nothing new can be in it")
        case "occupied":
            return Conflict(f"{what} can't be deleted: something is left in its domain, or was made there meanwhile")
        case "stale":
            return Conflict(
                f"{what} has changed: it is at resourceVersion {present_version!r},"
                f" not {str(write.expected_version)[:40]!r}; read it again and redo the change"
            )
        case _:
            return Internal(f"the database answered {outcome!r} to a write of {what}")


def _described(key: Key) -> str:
    place = f" in domain {key.domain[:80]!r}" if key.domain else ""
    return f"{key.kind[:80]} {key.name[:80]!r}{place}"
