"""A client of the API as a `Store`, so that what the store promises is held through the gateway too.

What the API has no words for (lists of writes in one transaction, conditions on other objects) it does not do: writes
of a list go one by one, and the tests that need more are named in `suite.STORE_ALONE`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from aspora.client.api_client import ApiClient
from aspora.client.interface import Propagation
from aspora.meta.errors import StatusError
from aspora.meta.objects import FOREGROUND_FINALIZER, ORPHAN_FINALIZER
from aspora.meta.selectors import Requirement
from aspora.store.interface import Event, Key, Page, Wire, Write, WriteResult

_PROPAGATIONS: Mapping[str, Propagation] = {FOREGROUND_FINALIZER: "Foreground", ORPHAN_FINALIZER: "Orphan"}


class ClientStore:
    """A `Store` over the API."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, key: Key) -> Wire:
        """The object."""
        return await self._client.get(key.kind, key.name, domain=key.domain or None)

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
        """Objects of a kind by (domain, name)."""
        page = await self._client.list(
            kind,
            domain=domain or None,
            labels=_text(labels),
            fields=_text(_placed(fields, domain)),
            limit=limit,
            continue_token=continue_token,
        )
        return Page(page.items, page.resource_version, page.continue_token)

    async def write(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        """Apply a list of writes, each by a request of its own."""
        return [await self._result(write) for write in writes]

    async def watch(
        self,
        kind: str,
        *,
        domain: str | None = None,
        since: str,
        labels: Sequence[Requirement] = (),
        fields: Sequence[Requirement] = (),
    ) -> AsyncGenerator[Event]:
        """Every change after `since`, once, in order."""
        texts = {"labels": _text(labels), "fields": _text(_placed(fields, domain))}
        async with aclosing(self._client.watch(kind, since=since, domain=domain or None, **texts)) as events:
            async for event in events:
                yield Event(event.type, event.object)

    async def _result(self, write: Write) -> WriteResult:
        try:
            obj = await self._write(write)
        except StatusError as error:
            return WriteResult(None, error)
        metadata = obj["metadata"]
        is_held = "deletionTimestamp" in metadata and metadata.get("finalizers")
        is_over = write.op == "delete" or (write.op == "update" and "deletionTimestamp" in metadata)
        return WriteResult(obj, is_deleted=bool(is_over and not is_held))

    async def _write(self, write: Write) -> Wire:
        key = write.key
        if write.op == "delete":
            return await self._client.delete(
                key.kind,
                key.name,
                domain=key.domain or None,
                uid=write.expected_uid,
                resource_version=write.expected_version,
                propagation=_PROPAGATIONS.get(write.finalizer or ""),
            )
        obj = _sent(write)
        if write.op == "create":
            return await self._client.create(obj)
        version = write.expected_version or (await self.get(key))["metadata"]["resourceVersion"]
        obj["metadata"]["resourceVersion"] = version
        if write.expected_uid is not None:
            obj["metadata"]["uid"] = write.expected_uid
        return await self._client.update(obj, status=write.op == "update_status")


def _sent(write: Write) -> dict[str, Any]:
    """The object as a client sends it; what is None is left out."""
    given: Wire = write.object or {}
    metadata = {name: value for name, value in (given.get("metadata") or {}).items() if value is not None}
    place = {"domain": write.key.domain} if write.key.domain else {}
    return {
        "spec": {},
        **given,
        "apiVersion": "aspora.dev/v1",
        "kind": write.key.kind,
        "metadata": {**metadata, "name": write.key.name, **place},
    }


def _placed(fields: Sequence[Requirement], domain: str | None) -> Sequence[Requirement]:
    """Cluster-wide objects alone have no path of their own."""
    return fields if domain != "" else [*fields, Requirement("metadata.domain", "!")]


def _text(requirements: Sequence[Requirement]) -> str:
    return ",".join(_term(requirement) for requirement in requirements)


def _term(requirement: Requirement) -> str:
    match requirement.operator:
        case "exists":
            return requirement.key
        case "!":
            return f"!{requirement.key}"
        case "in" | "notin":
            return f"{requirement.key} {requirement.operator} ({','.join(requirement.values)})"
        case _:
            return f"{requirement.key}{requirement.operator}{requirement.values[0]}"
