"""Who calls, what they may do, and the port through which hot paths read objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from aspora.meta.surroundings import Leadership

Wire = Mapping[str, Any]

ANY = "*"
"""Matches every verb, or every kind but not its `/status`; in `names`, every name."""
ANY_STATUS = "*/status"
"""Matches the status of every kind."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Some verbs on some kinds somewhere.

    Attributes:
        domain: None for everywhere: every domain and the cluster-wide objects; "" for the cluster-wide ones alone.
        verbs: `get list watch create update patch delete cancel impersonate` or `*`.
        kinds: Plurals (`skills`, `executions`, `skills/status`), `*` or `*/status`.
        names: Only these objects; empty for all.
    """

    domain: str | None
    verbs: frozenset[str]
    kinds: frozenset[str]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: The person's or service's name, as bindings and records have it.
        kind: `system` for Aspora's own processes.
        grants: All they may do.
        roles: Names of the roles behind the grants, as `role` or `role@domain`, for people to read.
        key: Id of the API key they came with; "" for a caller made inside the process.
        expires_at: When the credential ends; None for never.
        leader: What they lead, by their own word; their writes are refused once another leads. None for nothing.
        impersonated_by: Who really calls, when they act as `name`: key and expiry are theirs. "" otherwise.
    """

    name: str
    kind: Literal["user", "system"]
    grants: tuple[Grant, ...] = ()
    roles: tuple[str, ...] = ()
    key: str = ""
    expires_at: datetime | None = None
    leader: Leadership | None = None
    impersonated_by: str = ""

    @property
    def domains(self) -> frozenset[str] | None:
        """Domains in which they may do anything at all; None for everywhere."""
        if any(grant.domain is None for grant in self.grants):
            return None
        return frozenset(grant.domain for grant in self.grants if grant.domain)


class ObjectReader(Protocol):
    """Objects as they were at most a second ago, from memory when possible."""

    async def get(self, kind: str, name: str, *, domain: str = "") -> Wire | None:
        """The object, or None when there is none; `domain` "" for a cluster-wide one. Never change what is returned.

        Raises:
            Unavailable: The view is stale and the database can't be reached.
        """
        ...

    async def list(self, kind: str, *, domain: str | None = None) -> Sequence[Wire]:
        """Objects of a kind by (domain, name); `domain` None for all of them, "" for the cluster-wide ones.

        Raises:
            Unavailable: The view is stale and the database can't be reached.
        """
        ...
