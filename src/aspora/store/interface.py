"""The contract of the object store: one list-taking write, consistent reads, and a watch that misses nothing.

Objects cross this interface in their wire form (JSON mappings with `metadata`, `spec`, `status`). The store sets `uid`,
`creationTimestamp`, `generation` and `resourceVersion`; it knows no kind.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from aspora.meta.errors import StatusError
from aspora.meta.selectors import Requirement
from aspora.meta.surroundings import Leadership, Surrounding

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
        op: `create` starts without a status; `update` replaces metadata (labels, annotations, owners, finalizers) and
            spec and keeps the status; `update_status` replaces the status alone.
        key: The object.
        object: Its new wire form; None for `delete`.
        expected_version: The `resourceVersion` it is based on; None writes whatever is there (delete only, or `update`
            of a caller that said so).
        expected_uid: Refuse when the object of that name is another one by now; None when it doesn't matter.
        lives_in: Refuse unless this object is there and not being deleted; None for what stands by itself.
        empty_domain: Refuse while any object is in this domain; None when it doesn't matter.
        leader: Refuse when another leader of that name has begun; None for who leads nothing.
        surroundings: What else must be there, or must not.
        finalizer: By which a `delete` holds its object, set together with the deletionTimestamp; one being deleted
            already stays as it is. None when nothing but its own finalizers shall hold it.
        audit: Who writes and why, in the words of `aspora.audit`: kept in the same transaction when the write is
            accepted. None to keep nothing.
    """

    op: Literal["create", "update", "update_status", "delete"]
    key: Key
    object: Wire | None = None
    expected_version: str | None = None
    expected_uid: str | None = None
    lives_in: Key | None = None
    empty_domain: str | None = None
    leader: Leadership | None = None
    surroundings: tuple[Surrounding, ...] = ()
    finalizer: str | None = None
    audit: Wire | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one write.

    Attributes:
        object: As stored; for one that is gone: as it last was, at the version of its removal.
        error: Why it was refused; then there is no object.
        is_deleted: The object is gone, by a delete or by the update that emptied its finalizers.
    """

    object: Wire | None
    error: StatusError | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects and where they stand in history."""

    items: tuple[Wire, ...]
    resource_version: str
    continue_token: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change, or a BOOKMARK whose object holds nothing but `metadata.resourceVersion`.

    Attributes:
        encodings: Kept for whoever sends the event, by form: watchers share events, so that each is encoded once.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Wire
    encodings: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)


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

        Every page carries the version of the first one's snapshot: a watch from there tells all that changed since,
        between the pages too.

        Args:
            domain: None for every domain and the cluster, "" for cluster-wide objects alone.
            limit: At most this many, 1 to 5000.
            continue_token: From the page before; opaque.

        Raises:
            BadRequest: The token is not one of ours or belongs to another query; `limit` is out of range.
            Expired: The token's history is gone: list again from the start.
        """
        ...

    async def write(self, writes: Sequence[Write]) -> Sequence[WriteResult]:
        """Apply a list of writes in order, in one transaction; a refused item never harms its neighbours.

        An `update` or `update_status` that changes nothing keeps the version and makes no event. A delete of an object
        with finalizers, or with one of its own, sets `deletionTimestamp`; the update that empties them removes it.

        Raises:
            Unavailable: The database can't be reached; nothing is known of the outcome.
            Timeout: The writes before these took too long; nothing was written.
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

        An object that stops matching the selectors is reported DELETED (as it last matched), one that starts to match
        ADDED. Ends when the process stops.

        Raises:
            BadRequest: `since` is no resource version.
            Expired: `since` lies before the kept history or in one that was lost, the watcher fell too far behind, or
                the database was restarted: list, then watch from there.
            Unavailable: The database can't be reached.
        """
        ...
