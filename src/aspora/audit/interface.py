"""What the audit keeps of an act, and the port that doors tell of refusals."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Protocol

ACCEPTED = "Accepted"
UNCHANGED = "Unchanged"
"""Accepted, and there was nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does what, as far as the request says.

    Attributes:
        caller: As whom.
        verb: `create update update_status patch apply delete cancel`.
        impersonated_by: Who really calls, when they act as `caller`.
        key: Id of the API key they came with.
        request_id: As in the answer's X-Request-Id.
        remote: Address of the other end; "" inside the process.
    """

    caller: str
    verb: str
    impersonated_by: str = ""
    key: str = ""
    request_id: str = ""
    remote: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As the SQL functions take it; what is empty is left out."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        wire = {"impersonated_by": "impersonatedBy", "request_id": "requestId"}
        return {wire.get(name, name): value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A write that was not let through.

    Attributes:
        kind: As far as it is known.
        domain: "" for the cluster.
        name: "" when not known.
        reason: The error's.
    """

    act: Act
    kind: str
    domain: str
    name: str
    reason: str

    def to_wire(self) -> dict[str, Any]:
        """As `aspora_audit` takes it."""
        about = {"kind": self.kind, "domain": self.domain, "name": self.name, "outcome": self.reason}
        return {**self.act.to_wire(), **about}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows to list, newest first; None for no limit.

    Attributes:
        caller: Who, under either name: as whom they acted, or who really called.
        domains: Only what happened there; "" is the cluster.
        before: Continue after this row of the page before: its instant and id.
    """

    caller: str | None = None
    verb: str | None = None
    kind: str | None = None
    domains: tuple[str, ...] | None = None
    name: str | None = None
    since: datetime | None = None
    before: tuple[datetime, int] | None = None


class RefusalTrail(Protocol):
    """Is told of refusals."""

    def refused(self, refusal: Refusal) -> None:
        """Keep it soon, as well as can be; never fails."""
        ...
