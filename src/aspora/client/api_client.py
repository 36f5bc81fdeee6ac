"""The one client: objects over the API, by any transport."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aspora.client.codec import LineSplitter, decode_body, encode_body, error_of, object_list, plurals, watch_event
from aspora.client.interface import ObjectList, Propagation, WatchEvent, Wire
from aspora.client.paths import API_ROOT, apply_query, list_query, object_path, watch_query, write_query
from aspora.client.transport import Request, StreamedResponse, Transport
from aspora.meta.errors import NotFound
from aspora.meta.names import did_you_mean
from aspora.meta.surroundings import Leadership

DEADLINE_SECONDS = 30.0
NDJSON_TYPE = "application/x-ndjson"
APPLY_PATCH_TYPE = "application/apply-patch+json"


class ApiClient:
    """A `Client`.

    Args:
        transport: Carries the requests; closed with the client.
        plurals_by_kind: Kind → plural, when known; the server is asked for those that are not.
        deadline_seconds: For each request, and until a watch begins.
        leader: Whose writes these are; they are refused once another leads. None for who leads nothing.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        plurals_by_kind: Mapping[str, str] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        leader: Leadership | None = None,
    ) -> None:
        self._transport = transport
        self._plurals = dict(plurals_by_kind or {})
        self._deadline_seconds = deadline_seconds
        self._leader = "" if leader is None else str(leader)
        self._discovery = asyncio.Lock()

    async def close(self) -> None:
        """Let go of the transport's connections."""
        await self._transport.close()

    async def get(self, kind: str, name: str, *, domain: str | None = None) -> Wire:
        """One object; `domain` None for a cluster-wide one."""
        return await self._call("GET", await self._path(kind, name, domain=domain), {})

    async def list(
        self,
        kind: str,
        *,
        domain: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        continue_token: str | None = None,
    ) -> ObjectList:
        """A page of objects; `domain` None for all domains and the cluster."""
        query = list_query(labels=labels, fields=fields, limit=limit, continue_token=continue_token)
        return object_list(await self._call("GET", await self._path(kind, domain=domain), query))

    async def watch(
        self, kind: str, *, since: str, domain: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[WatchEvent]:
        """Changes after the resource version `since`, until the server closes the stream."""
        query = watch_query(since=since, labels=labels, fields=fields)
        request = Request("GET", await self._path(kind, domain=domain), query, accept=NDJSON_TYPE)
        async with self._transport.stream(request, timeout_seconds=self._deadline_seconds) as answer:
            await self._check(answer)
            splitter = LineSplitter()
            async for chunk in answer.chunks:
                for line in splitter.feed(chunk):
                    yield watch_event(line)
            splitter.finish()

    async def create(self, obj: Wire, *, dry_run: bool = False) -> Wire:
        """Create; kind, name and domain come from the object."""
        path = await self._path(obj["kind"], domain=obj["metadata"].get("domain"))
        return await self._call("POST", path, write_query(dry_run=dry_run), obj)

    async def update(self, obj: Wire, *, status: bool = False, dry_run: bool = False) -> Wire:
        """Replace spec and metadata, or with `status` the status alone."""
        metadata: Mapping[str, Any] = obj["metadata"]
        path = await self._path(obj["kind"], metadata["name"], domain=metadata.get("domain"), is_status=status)
        return await self._call("PUT", path, write_query(dry_run=dry_run), obj)

    async def apply(self, obj: Wire, *, manager: str, force: bool = False, dry_run: bool = False) -> Wire:
        """Create the object, or make it hold what the field manager wants."""
        metadata: Mapping[str, Any] = obj["metadata"]
        path = await self._path(obj["kind"], metadata["name"], domain=metadata.get("domain"))
        query = apply_query(manager=manager, force=force, dry_run=dry_run)
        return await self._call("PATCH", path, query, obj, content_type=APPLY_PATCH_TYPE)

    async def delete(
        self,
        kind: str,
        name: str,
        *,
        domain: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation | None = None,
    ) -> Wire:
        """Delete; with `uid` only that very object, with `resource_version` only as it was then."""
        query = write_query(uid=uid, resource_version=resource_version, propagation=propagation)
        return await self._call("DELETE", await self._path(kind, name, domain=domain), query)

    async def read(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """An answer of the API that is no object: numbers, records."""
        return await self._call("GET", path, query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand in a record."""
        return await self._call("POST", path, {}, body)

    async def _path(self, kind: str, name: str = "", *, domain: str | None = None, is_status: bool = False) -> str:
        return object_path(await self._plural(kind), name, domain=domain or "", is_status=is_status)

    async def _plural(self, kind: str) -> str:
        """A kind's plural; asks the server once for those it doesn't know."""
        if kind not in self._plurals:
            async with self._discovery:
                if kind not in self._plurals:
                    self._plurals |= plurals(await self._call("GET", API_ROOT, {}))
        if kind not in self._plurals:
            raise NotFound(f"{self._transport.source} has no kind {kind!r}{did_you_mean(kind, self._plurals)}")
        return self._plurals[kind]

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Wire | None = None,
        *,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        encoded = None if body is None else encode_body(body)
        request = Request(method, path, query, encoded, content_type=content_type, leader=self._leader)
        answer = await self._transport.request(request, timeout_seconds=self._deadline_seconds)
        if answer.status >= 300:
            raise error_of(answer.status, answer.headers, answer.body, source=self._transport.source)
        return decode_body(answer.body, source=self._transport.source)

    async def _check(self, answer: StreamedResponse) -> None:
        """Raise the error that stands in a stream's place."""
        if answer.status >= 300:
            body = b"".join([chunk async for chunk in answer.chunks])
            raise error_of(answer.status, answer.headers, body, source=self._transport.source)
