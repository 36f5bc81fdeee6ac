"""The contract of the object store: one list-taking write, consistent reads, and a watch that misses nothing.

Objects cross this interface in their wire form (JSON mappings with `metadata`, `spec`, `status`). The store sets `uid`,
`creationTimestamp`, `generation` and `resourceVersion`; it knows no kind.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aspora.meta.errors import StatusError
from aspora.meta.selectors import Requirement

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """Names one object. `domain` is "" for a cluster-wide object."""

    kind: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True)
class Write:
    """One wanted change.

    Attributes:
        op: `update` replaces metadata (labels, annotations, owners, finalizers) and spec and keeps the status;
            `update_status` replaces the status alone.
        key: The object.
        object: Its new wire form; None for `delete`.
        expected_version: The `resourceVersion` it is based on; None writes whatever is there (delete only, or `update`
            of a caller that said so).
        expected_uid: Refuse when the object of that name is another one by now; None when it doesn't matter.
    """

    op: Literal["create", "update", "update_status", "delete"]
    key: Key
    object: Wire | None = None
    expected_version: str | None = None
    expected_uid: str | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one write: the object as stored (for a delete: as it last was), or the error."""

    object: Wire | None
    error: StatusError | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects and where they stand in history."""

    items: tuple[Wire, ...]
    resource_version: str
    continue_token: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change, or a BOOKMARK whose object holds nothing but `metadata.resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Wire


class Store(Protocol):
    """Where objects live."""

    async def get(self, key: Key) -> Wire:
        """The object.

        Raises:
            NotFound: No such object.
        """
        ...

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
        """Objects of a kind by (domain, name), from one snapshot a page.

        Args:
            domain: None for every domain and the cluster, "" for cluster-wide objects alone.
            limit: At most this many, 1 to 5000.
            continue_token: From the page before; opaque.

        Raises:
            BadRequest: The token is not one of ours or belongs to another query.
            Expired: The token's history is gone: list again from the start.
        """
        ...

    async def write(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        """Apply a list of writes in order, in one transaction; a refused item never harms its neighbours.

        An `update` or `update_status` that changes nothing keeps the version and makes no event. A delete of an object
        with finalizers sets `deletionTimestamp`; the update that empties them removes it.

        Raises:
            Unavailable: The database can't be reached; nothing is known of the outcome.
        """
        ...

    def watch(
        self,
        kind: str,
        *,
        domain: str | None = None,
        since: str,
        labels: Sequence[Requirement] = (),
        fields: Sequence[Requirement] = (),
    ) -> AsyncIterator[Event]:
        """Every change after `since`, once, in order, then the changes to come. Bookmarks come at least each 60 s.

        An object that stops matching the selectors is reported DELETED, one that starts to match ADDED.

        Raises:
            Expired: `since` lies before the kept history: list, then watch from there.
        """
        ...
