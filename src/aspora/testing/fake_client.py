"""Objects in memory behind the client's contract, for tests of reconcilers: versions, generations, finalizers, deletes.

It admits everything, knows no caller and streams nothing: reconcilers never watch. That it answers as the gateway does
is tested side by side.
"""

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aspora.client.interface import ObjectList, Propagation, WatchEvent, Wire
from aspora.meta.errors import API_VERSION, AlreadyExists, Conflict, MethodNotAllowed, NotFound
from aspora.meta.objects import PROPAGATION_FINALIZERS, rfc3339

Key = tuple[str, str, str]

_SERVER_OWNED = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_LEFT_OUT_WHEN_EMPTY = ("labels", "annotations", "ownerReferences", "finalizers")


class FakeClient:
    """A `Client` over a dict."""

    def __init__(self) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}
        self._versions = itertools.count(1)
        self._last = datetime.now(UTC)

    async def get(self, kind: str, name: str, *, domain: str | None = None) -> Wire:
        """One object."""
        return _copy(self._find((kind, domain or "", name)))

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
        """All objects in one page, whatever the limit; selectors are refused."""
        if labels or fields:
            raise MethodNotAllowed("the fake selects nothing")
        found = sorted((k[1:], obj) for k, obj in self._objects.items() if k[0] == kind and domain in {None, k[1]})
        return ObjectList(tuple(_copy(obj) for _, obj in found), str(next(self._versions)))

    async def watch(
        self, kind: str, *, since: str, domain: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Refused."""
        raise MethodNotAllowed("the fake streams nothing")
        yield  # pragma: no cover

    async def create(self, obj: Wire, *, dry_run: bool = False) -> Wire:
        """Create."""
        key = _key(obj)
        if key in self._objects:
            raise AlreadyExists(f"{key[0]} {key[2]!r} exists already")
        server = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": self._now()}
        made = {k: v for k, v in obj.items() if k != "status"}
        return self._keep(key, {"apiVersion": API_VERSION, **made, "metadata": _metadata(obj, server)})

    async def update(self, obj: Wire, *, status: bool = False, dry_run: bool = False) -> Wire:
        """Replace spec and metadata, or the status."""
        key = _key(obj)
        old = self._find(key)
        if obj["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            raise Conflict(f"{key[0]} {key[2]!r} has changed")
        if status:
            new = {**old, "status": obj.get("status") or {}}
        else:
            server = {k: old["metadata"][k] for k in _SERVER_OWNED if k in old["metadata"]}
            server["generation"] += obj["spec"] != old["spec"]
            new = {**obj, "metadata": _metadata(obj, server), "status": old.get("status")}
        new = {k: v for k, v in new.items() if v is not None}
        if new == old:
            return _copy(old)
        return self._keep(key, new)

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
        """Delete, or mark what finalizers hold."""
        key = (kind, domain or "", name)
        old = self._find(key)
        metadata = old["metadata"]
        if uid not in {None, metadata["uid"]} or resource_version not in {None, metadata["resourceVersion"]}:
            raise Conflict(f"{kind} {name!r} is another by now")
        finalizers = list(metadata.get("finalizers", []))
        wanted = PROPAGATION_FINALIZERS.get(propagation or "")
        if wanted and wanted not in finalizers and "deletionTimestamp" not in metadata:
            finalizers.append(wanted)
        if not finalizers:
            return _copy(self._objects.pop(key))
        if "deletionTimestamp" in metadata:
            return _copy(old)
        now = self._now()
        return self._keep(key, {**old, "metadata": {**metadata, "finalizers": finalizers, "deletionTimestamp": now}})

    def _now(self) -> str:
        """The present instant, later than the one before."""
        self._last = max(datetime.now(UTC), self._last + timedelta(milliseconds=1))
        return rfc3339(self._last)

    def _find(self, key: Key) -> dict[str, Any]:
        if key not in self._objects:
            raise NotFound(f"{key[0]} {key[2]!r} not found")
        return self._objects[key]

    def _keep(self, key: Key, obj: Mapping[str, Any]) -> Wire:
        kept = _copy({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(next(self._versions))}})
        if "deletionTimestamp" in kept["metadata"] and not kept["metadata"].get("finalizers"):
            self._objects.pop(key, None)
        else:
            self._objects[key] = kept
        return _copy(kept)


def _key(obj: Wire) -> Key:
    return obj["kind"], obj["metadata"].get("domain") or "", obj["metadata"]["name"]


def _metadata(obj: Wire, server: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        k: v for k, v in obj["metadata"].items() if k not in _SERVER_OWNED and not (k in _LEFT_OUT_WHEN_EMPTY and not v)
    }
    return {**said, **server}


def _copy(obj: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(obj))
