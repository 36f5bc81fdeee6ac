"""How the rest of Aspora reads and writes objects. One contract, one implementation, two transports.

Objects are wire mappings; `aspora.apis.decode.decode` gives them types. Every call takes the whole path of the gateway:
authentication, admission, access.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Wire = Mapping[str, Any]

Propagation = Literal["Background", "Foreground", "Orphan"]
"""What a delete does with the objects that the deleted one owns: they go afterwards, before it, or stay."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A page of objects."""

    items: tuple[Wire, ...]
    resource_version: str
    continue_token: str | None = None


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change of one object; a BOOKMARK carries only `metadata.resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Wire


class Client(Protocol):
    """Objects over the API. Every method raises `StatusError` as the server sent it, `Unavailable` without a server."""

    async def get(self, kind: str, name: str, *, domain: str | None = None) -> Wire:
        """One object; `domain` None for a cluster-wide one."""
        ...

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
        ...

    def watch(
        self, kind: str, *, since: str, domain: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Changes after the resource version `since`; ends when the server closes it; `Expired` means relist."""
        ...

    async def create(self, obj: Wire, *, dry_run: bool = False) -> Wire:
        """Create; kind, name and domain come from the object."""
        ...

    async def update(self, obj: Wire, *, status: bool = False, dry_run: bool = False) -> Wire:
        """Replace spec and metadata, or with `status` the status alone; `metadata.resourceVersion` must be current."""
        ...

    async def apply(self, obj: Wire, *, manager: str, force: bool = False, dry_run: bool = False) -> Wire:
        """Create the object, or make it hold what the field manager wants: fields it has no opinion on are left out.

        Raises `Conflict` with one detail a field when others own fields with other values, unless `force` takes them.
        """
        ...

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
        ...


class Records(Protocol):
    """What the API keeps beside objects. The same client, the same errors."""

    async def read(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """An answer that is no object: numbers, records."""
        ...

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand in a record."""
        ...
