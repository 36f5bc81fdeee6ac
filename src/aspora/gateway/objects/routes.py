"""The HTTP side of the object door: requests in, service calls, answers out."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from aspora.access.authorize import is_allowed
from aspora.client.interface import Propagation
from aspora.gateway.auditing import Auditor, Handler, note_name
from aspora.gateway.contract import ContractRoute, Schema
from aspora.gateway.framing import SSE, Framing, framing_of, last_event_id, sse_frame
from aspora.gateway.http import (
    caller_of,
    flag_in,
    integer_in,
    json_response,
    media_type,
    printable,
    query_of,
    read_json_object,
    wants,
)
from aspora.gateway.json_body import parse_json_object
from aspora.gateway.objects import contract
from aspora.gateway.objects.apply import APPLY_PATCH_TYPE, ObjectApplies
from aspora.gateway.objects.discovery import explanation, record_explanation, resource_list
from aspora.gateway.objects.forms import event_body, list_body, object_body
from aspora.gateway.objects.hidden import check_fields
from aspora.gateway.objects.identity import can_i_body, who_am_i
from aspora.gateway.objects.merge_patch import MERGE_PATCH_TYPE
from aspora.gateway.objects.reads import ObjectReads, Selection
from aspora.gateway.objects.resources import Resources, Target, require_method
from aspora.gateway.objects.watches import ObjectWatches, WatchEvent, watch_seconds
from aspora.gateway.objects.writes import ObjectWrites, Preconditions, Written
from aspora.gateway.origin import FIELD_MANAGER, Origin, origin_of
from aspora.gateway.refusals import refusals
from aspora.gateway.streams import LinesResponse, Streams
from aspora.kit.clock import Clock
from aspora.meta.errors import BadRequest
from aspora.meta.selectors import parse_selector

MAX_LIMIT = 5000
DEFAULT_LIMIT = 500

_SELECTION = ("labelSelector", "fieldSelector")
_LIST = (*_SELECTION, "limit", "continue", "watch", "resourceVersion", "timeoutSeconds")
_DRY_RUN = ("dryRun",)
_WRITE = (*_DRY_RUN, FIELD_MANAGER)
_APPLY = (*_WRITE, "force")
_WATCH_ONLY = ("resourceVersion", "timeoutSeconds")
_LIST_ONLY = ("limit", "continue")


@dataclass(frozen=True, slots=True)
class ObjectDoor:
    """The parts that the handlers call.

    Attributes:
        records: The published schemas of records, by kind.
    """

    resources: Resources
    reads: ObjectReads
    writes: ObjectWrites
    applies: ObjectApplies
    watches: ObjectWatches
    streams: Streams
    clock: Clock
    auditor: Auditor
    records: Mapping[str, Schema]

    async def discover(self, request: Request) -> Response:
        """All resources of the API."""
        query_of(request, ())
        return json_response(resource_list(self.resources))

    async def explain(self, request: Request) -> Response:
        """The fields of a kind or a record; `path` goes deeper."""
        plural, path = request.path_params["plural"], query_of(request, ("path",)).get("path", "")
        record = record_explanation(plural, self.records, path)
        return json_response(record or explanation(self.resources.kind_of(plural), path))

    async def who_am_i(self, request: Request) -> Response:
        """The caller as Aspora sees them."""
        query_of(request, ())
        return json_response(who_am_i(caller_of(request)))

    async def can_i(self, request: Request) -> Response:
        """Whether the caller may do something, without doing it."""
        query_of(request, ())
        asked = can_i_body(await read_json_object(request))
        allowed = is_allowed(caller_of(request), asked.verb, asked.plural, asked.domain, asked.name)
        return json_response({"kind": "CanI", "allowed": allowed})

    async def list_or_watch(self, request: Request) -> Response:
        """Objects of a kind, or with `watch=true` their changes as lines of JSON or server-sent events."""
        query = query_of(request, _LIST)
        target = self._target(request)
        selection = _selection(target, query)
        if flag_in(query, "watch"):
            return await self._watch(request, target, selection, query)
        for name in _WATCH_ONLY:
            if name in query:
                raise BadRequest(f"query parameter {name!r} goes with watch=true; add it, or leave {name} out")
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        token = query.get("continue") or None
        page = await self.reads.list(caller_of(request), target, selection, limit=limit, continue_token=token)
        return json_response(list_body(target, page, wants(request), now=self.clock.now()))

    async def get(self, request: Request) -> Response:
        """One object."""
        query_of(request, ())
        target = self._target(request)
        obj = await self.reads.get(caller_of(request), target)
        return json_response(object_body(target, obj, wants(request), now=self.clock.now()))

    async def create(self, request: Request) -> Response:
        """Store a new object."""
        target = self._target(request)
        query = query_of(request, _WRITE)
        dry_run = _dry_run(query)
        obj = await read_json_object(request)
        if isinstance(obj.get("metadata"), Mapping):
            note_name(request, obj["metadata"].get("name"))
        written = await self.writes.create(
            caller_of(request), target, obj, dry_run=dry_run, origin=_origin(request, query)
        )
        return _written_response(written, status=200 if dry_run else 201)

    async def update(self, request: Request) -> Response:
        """Replace an object's spec and metadata; needs the current `metadata.resourceVersion`."""
        query = query_of(request, _WRITE)
        origin, dry_run = _origin(request, query), _dry_run(query)
        obj = await read_json_object(request)
        target = self._target(request)
        update = self.writes.update_status if target.is_status else self.writes.update
        return _written_response(await update(caller_of(request), target, obj, dry_run=dry_run, origin=origin))

    async def patch(self, request: Request) -> Response:
        """Change parts of an object by a JSON merge patch (RFC 7386), or apply all that a field manager wants of it."""
        match media_type(request):
            case t if t == MERGE_PATCH_TYPE:
                return await self._merge(request)
            case t if t == APPLY_PATCH_TYPE:
                return await self._apply(request)
            case other:
                raise BadRequest(
                    f"a patch of type {printable(other)!r} is not known; send {MERGE_PATCH_TYPE} or {APPLY_PATCH_TYPE}"
                )

    async def _merge(self, request: Request) -> Response:
        query = query_of(request, _WRITE)
        origin, dry_run = _origin(request, query), _dry_run(query)
        patch = parse_json_object(await request.body())
        return _written_response(
            await self.writes.patch(caller_of(request), self._target(request), patch, dry_run=dry_run, origin=origin)
        )

    async def _apply(self, request: Request) -> Response:
        query = query_of(request, _APPLY)
        if not query.get(FIELD_MANAGER):
            raise BadRequest(f"an apply must say whose fields these are; add {FIELD_MANAGER}=NAME to the query")
        dry_run = _dry_run(query)
        applied = await self.applies.apply(
            caller_of(request),
            self._target(request),
            parse_json_object(await request.body()),
            origin=_origin(request, query),
            force=flag_in(query, "force"),
            dry_run=dry_run,
        )
        return _written_response(applied.written, status=201 if applied.is_new and not dry_run else 200)

    async def delete(self, request: Request) -> Response:
        """Delete an object; `uid` and `resourceVersion` in the query or in a body's `preconditions` must match."""
        query = query_of(request, (*_DRY_RUN, "uid", "resourceVersion", "propagationPolicy"))
        given = _preconditions(await request.body(), query)
        dry_run = _dry_run(query)
        return _written_response(
            await self.writes.delete(
                caller_of(request),
                self._target(request),
                given,
                dry_run=dry_run,
                propagation=_propagation(query),
                origin=_origin(request, query),
            )
        )

    async def _watch(
        self, request: Request, target: Target, selection: Selection, query: Mapping[str, str]
    ) -> Response:
        for name in _LIST_ONLY:
            if name in query:
                raise BadRequest(f"query parameter {name!r} does not go with watch=true; leave one of them out")
        framing = framing_of(request)
        since = (last_event_id(request) if framing is SSE else None) or query.get("resourceVersion", "0")
        if not (since.isascii() and since.isdecimal()):
            raise BadRequest(f"resourceVersion {printable(since)!r} is not one of ours; take it from a list")
        wanted = integer_in(query, "timeoutSeconds", default=3600, minimum=1, maximum=3600)
        caller, form = caller_of(request), wants(request)
        events = await self.watches.open(caller, target, selection, since=None if int(since) == 0 else since)
        frames = self._frames(target, events, form, framing)
        seconds = watch_seconds(caller, wanted, now=self.clock.now())
        return LinesResponse(frames, streams=self.streams, max_seconds=seconds, framing=framing)

    async def _frames(
        self, target: Target, events: AsyncGenerator[WatchEvent], form: str, framing: Framing
    ) -> AsyncGenerator[bytes]:
        """Each event encoded; watchers of the same form share the bytes."""
        async with aclosing(events):
            async for event, is_place in events:
                if form or not is_place:
                    body = event_body(target, event, form, now=self.clock.now())
                    yield sse_frame(body, is_place=is_place) if framing is SSE else framing.frame(body)
                    continue
                frame = event.encodings.get(framing.name)
                if frame is None:
                    frame = framing.frame({"type": event.type, "object": event.object})
                    event.encodings[framing.name] = frame
                yield frame

    async def refuse(self, request: Request) -> Response:
        """Say which methods the path answers."""
        self.require_method(request)
        raise AssertionError(f"{request.method} is answered there")

    def require_method(self, request: Request) -> None:
        """Refuse what the path doesn't answer, before anything else is looked at."""
        require_method(self._target(request), request.method)

    def _target(self, request: Request) -> Target:
        path: Mapping[str, str] = request.path_params
        is_status = request.scope["route"].path.endswith("/status")
        return self.resources.target(
            path["plural"], domain=path.get("domain"), name=path.get("name"), is_status=is_status
        )


class _ObjectRoute(Route):
    """Answers its path whatever the method, so that no more general path answers in its place."""

    def __init__(self, door: ObjectDoor, path: str, handlers: Mapping[str, Handler]) -> None:
        super().__init__(path, _by_method(handlers, otherwise=door.refuse), methods=list(handlers))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.NONE if match is Match.NONE else Match.FULL), child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def object_routes(door: ObjectDoor) -> list[BaseRoute]:
    """The routes; the order matters where a pattern is more general than another."""
    routes: list[Route] = [
        ContractRoute("/api/v1", door.discover, contract.DISCOVER),
        ContractRoute("/api/v1/explain/{plural}", door.explain, contract.EXPLAIN),
        ContractRoute("/api/v1/whoami", door.who_am_i, contract.WHO_AM_I),
        ContractRoute("/api/v1/can-i", door.can_i, contract.CAN_I, methods=["POST"]),
    ]
    answers = [*routes, *refusals(routes)]
    answers += _item_routes(door, "/api/v1/{plural}/{name}/status", status=True)
    answers += _collection_routes(door, "/api/v1/domains/{domain}/{plural}")
    answers += _item_routes(door, "/api/v1/domains/{domain}/{plural}/{name}")
    answers += _item_routes(door, "/api/v1/domains/{domain}/{plural}/{name}/status", status=True)
    answers += _collection_routes(door, "/api/v1/{plural}")
    answers += _item_routes(door, "/api/v1/{plural}/{name}")
    return answers


def _collection_routes(door: ObjectDoor, path: str) -> list[BaseRoute]:
    handlers = {"GET": _answered(door, door.list_or_watch), "POST": _audited(door, door.create, "create")}
    return [_ObjectRoute(door, path, handlers)]


def _item_routes(door: ObjectDoor, path: str, *, status: bool = False) -> list[BaseRoute]:
    update = _audited(door, door.update, "update_status" if status else "update")
    handlers: dict[str, Handler] = {"GET": _answered(door, door.get), "PUT": update}
    if not status:
        handlers |= {"PATCH": _audited(door, door.patch, "patch"), "DELETE": _audited(door, door.delete, "delete")}
    return [_ObjectRoute(door, path, handlers)]


def _audited(door: ObjectDoor, handler: Handler, verb: str) -> Handler:
    def verb_of(request: Request) -> str:
        return "apply" if media_type(request) == APPLY_PATCH_TYPE else verb

    def kind_of(request: Request) -> str:
        plural: str = request.path_params["plural"]
        return next((kind.kind for kind in door.resources.kinds() if kind.plural == plural), plural)

    return door.auditor.around(_answered(door, handler), verb=verb_of, kind=kind_of)


def _answered(door: ObjectDoor, handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        door.require_method(request)
        return await handler(request)

    return handle


def _by_method(handlers: Mapping[str, Handler], *, otherwise: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers.get(method, otherwise)(request)

    return handle


def _selection(target: Target, query: Mapping[str, str]) -> Selection:
    fields = parse_selector(query.get("fieldSelector", ""), what="field")
    check_fields(target.kind, fields)
    return Selection(target.domain, parse_selector(query.get("labelSelector", "")), fields)


def _origin(request: Request, query: Mapping[str, str]) -> Origin:
    return origin_of(request, manager=query.get(FIELD_MANAGER, ""))


def _dry_run(query: Mapping[str, str]) -> bool:
    value = query.get("dryRun")
    if value not in {None, "All"}:
        raise BadRequest(f"dryRun is {printable(str(value))!r}; the one value it takes is 'All'")
    return value == "All"


def _propagation(query: Mapping[str, str]) -> Propagation | None:
    value = query.get("propagationPolicy")
    if value is not None and value not in get_args(Propagation):
        raise BadRequest(f"propagationPolicy is {printable(value)!r}; write one of {', '.join(get_args(Propagation))}")
    return cast("Propagation | None", value)


def _preconditions(body: bytes, query: Mapping[str, str]) -> Preconditions:
    given: Any = parse_json_object(body).get("preconditions", {}) if body else {}
    if not isinstance(given, Mapping) or not set(given) <= {"uid", "resourceVersion"}:
        raise BadRequest("preconditions can't be read; send an object with uid, resourceVersion or both")
    wanted = {**given, **{k: query[k] for k in ("uid", "resourceVersion") if k in query}}
    if not all(isinstance(value, str) for value in wanted.values()):
        raise BadRequest("preconditions can't be read; send uid and resourceVersion as strings")
    return Preconditions(uid=wanted.get("uid"), resource_version=wanted.get("resourceVersion"))


def _written_response(written: Written, *, status: int = 200) -> Response:
    body = {**written.object, "once": dict(written.once)} if written.once else written.object
    return json_response(body, status=status, warnings=written.warnings)
