"""The handlers: events told, listed and followed; the audit listed."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from aspora.access.authorize import authorize, no_such_domain
from aspora.access.interface import ObjectReader
from aspora.audit.interface import AuditFilter
from aspora.audit.trail import Audit, audit_wire
from aspora.db.listen import Listener
from aspora.gateway.history.contract import DEFAULT_LIMIT, MAX_LIMIT
from aspora.gateway.history.following import Change, changes, check_place
from aspora.gateway.history.forms import AUDIT_TABLE, event_table, list_form
from aspora.gateway.history.pages import event_filter, instant_in, read_token, read_version, token_after
from aspora.gateway.history.told_event import parse_event
from aspora.gateway.http import caller_of, flag_in, integer_in, json_response, query_of, read_json_object, wants
from aspora.gateway.objects.watches import watch_seconds
from aspora.gateway.streams import LinesResponse, Streams
from aspora.gateway.visibility import visible_domains
from aspora.kit.clock import Clock
from aspora.meta.errors import BadRequest
from aspora.records.happenings import HappeningFilter, Happenings, happening_wire, version_of
from aspora.records.wakeups import HAPPENED, Wakeups

EVENTS: Final = "events"
AUDIT: Final = "audit"

_LIST_ONLY: Final = ("limit", "continue")
_WATCH_ONLY: Final = ("resourceVersion", "timeoutSeconds")
_EVENT_PARAMETERS: Final = ("fieldSelector", "watch", *_LIST_ONLY, *_WATCH_ONLY)
_AUDIT_PARAMETERS: Final = ("who", "verb", "kind", "domain", "name", "since", *_LIST_ONLY)


@dataclass(frozen=True, slots=True)
class HistoryHandlers:
    """One method a route, and the parts they call."""

    happenings: Happenings
    audit: Audit
    wakeups: Wakeups
    listener: Listener
    reader: ObjectReader
    streams: Streams
    clock: Clock

    async def tell_event(self, request: Request) -> Response:
        """Tell an event of an object; the same again within ten minutes raises its count."""
        query_of(request, ())
        domain: str = request.path_params.get("domain", "")
        authorize(caller_of(request), "create", EVENTS, domain or None)
        happening = parse_event(await read_json_object(request), domain=domain)
        if domain:
            await self._require_domain(domain)
        row = await self.happenings.record(happening)
        self.wakeups.send(HAPPENED)
        return json_response(happening_wire(row), status=201 if row["first_at"] == row["last_at"] else 200)

    async def list_events(self, request: Request) -> Response:
        """Events, latest first; with `watch=true` as lines of JSON, as they happen."""
        query = query_of(request, _EVENT_PARAMETERS)
        watches = flag_in(query, "watch")
        domain: str | None = request.path_params.get("domain")
        domains = await self._visible(request, "watch" if watches else "list", EVENTS, domain)
        wanted = event_filter(query.get("fieldSelector", ""), domains=domains)
        for name in _LIST_ONLY if watches else _WATCH_ONLY:
            if name in query:
                way_out = "leave one of them out" if watches else f"add it, or leave {name} out"
                raise BadRequest(
                    f"query parameter {name!r} {'does not go' if watches else 'goes'} with watch=true; {way_out}"
                )
        if watches:
            return await self._watch(request, wanted, query, with_domain=domain is None)
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        before = read_token(query["continue"]) if query.get("continue") else None
        page = await self.happenings.page(wanted, limit=limit + 1, before=before)
        rows = page.rows[:limit]
        metadata = {"resourceVersion": version_of(page.place)}
        if len(page.rows) > limit:
            metadata["continue"] = token_after(rows[-1]["last_at"], rows[-1]["id"])
        table = event_table(with_domain=domain is None, now=self.clock.now())
        items = [happening_wire(row) for row in rows]
        return json_response(list_form(items, wants(request), kind="Event", table=table, metadata=metadata))

    async def list_audit(self, request: Request) -> Response:
        """Who wrote what, newest first."""
        query = query_of(request, _AUDIT_PARAMETERS)
        domains = await self._visible(request, "list", AUDIT, query.get("domain"))
        wanted = AuditFilter(
            caller=query.get("who"),
            verb=query.get("verb"),
            kind=query.get("kind"),
            domains=domains,
            name=query.get("name"),
            since=instant_in(query, "since"),
            before=read_token(query["continue"]) if query.get("continue") else None,
        )
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        found = await self.audit.page(wanted, limit=limit + 1)
        rows = found[:limit]
        metadata = {"continue": token_after(rows[-1]["at"], rows[-1]["id"])} if len(found) > limit else {}
        items = [audit_wire(row) for row in rows]
        body = list_form(items, wants(request), kind="AuditEvent", table=AUDIT_TABLE, metadata=metadata)
        return json_response(body)

    async def _watch(
        self, request: Request, wanted: HappeningFilter, query: Mapping[str, str], *, with_domain: bool
    ) -> Response:
        since = read_version(query["resourceVersion"]) if query.get("resourceVersion", "0") != "0" else None
        if since is not None:
            await check_place(self.happenings, since)
        seconds = integer_in(query, "timeoutSeconds", default=3600, minimum=1, maximum=3600)
        lines = changes(self.happenings, self.listener, wanted, since=since, monotonic=self.clock.monotonic)
        if wants(request) == "Table":
            lines = self._as_tables(lines, with_domain=with_domain)
        limit = watch_seconds(caller_of(request), seconds, now=self.clock.now())
        return LinesResponse(lines, streams=self.streams, max_seconds=limit)

    async def _as_tables(self, lines: AsyncGenerator[Change], *, with_domain: bool) -> AsyncGenerator[Change]:
        async with aclosing(lines):
            async for line in lines:
                if line["type"] == "BOOKMARK":
                    yield line
                    continue
                table = event_table(with_domain=with_domain, now=self.clock.now())
                yield {"type": line["type"], "object": table.table([line["object"]], metadata={})}

    async def _visible(self, request: Request, verb: str, plural: str, domain: str | None) -> tuple[str, ...] | None:
        return await visible_domains(caller_of(request), self.reader, verb=verb, plural=plural, domain=domain)

    async def _require_domain(self, domain: str) -> None:
        if await self.reader.get("Domain", domain) is None:
            raise no_such_domain(domain)
