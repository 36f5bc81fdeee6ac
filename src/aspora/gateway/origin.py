"""Where a write comes from, besides its caller: for the audit and for field ownership."""

from dataclasses import dataclass

from starlette.requests import Request

from aspora.access.interface import Caller
from aspora.audit.interface import Act
from aspora.gateway.http import printable
from aspora.meta.errors import BadRequest

FIELD_MANAGER = "fieldManager"
MAX_MANAGER_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Origin:
    """What a request says of itself.

    Attributes:
        manager: The field manager it names; "" for the one that follows from the caller.
        request_id: As in the answer.
        remote: Address of the other end; "" inside the process.
    """

    manager: str = ""
    request_id: str = ""
    remote: str = ""

    def manager_of(self, caller: Caller) -> str:
        """Who owns the fields that are written: `user:NAME` or `system:NAME` when the request names nobody."""
        return self.manager or (caller.name if caller.kind == "system" else f"user:{caller.name}")

    def act(self, caller: Caller, verb: str) -> Act:
        """What the audit keeps of it."""
        return Act(
            caller=caller.name,
            verb=verb,
            impersonated_by=caller.impersonated_by,
            key=caller.key,
            request_id=self.request_id,
            remote=self.remote,
        )


INSIDE = Origin()
"""Of writes that come by no request."""


def origin_of(request: Request, *, manager: str = "") -> Origin:
    """The origin of a request.

    Args:
        request: On its way through a handler.
        manager: The query parameter `fieldManager`.

    Raises:
        BadRequest: The manager can't be the name of one.
    """
    if len(manager) > MAX_MANAGER_CHARACTERS or not manager.isprintable():
        raise BadRequest(
            f"{FIELD_MANAGER} {printable(manager)!r} is not possible; use at most {MAX_MANAGER_CHARACTERS}"
            " printable characters"
        )
    client = request.client
    return Origin(manager, request.scope.get("state", {}).get("request_id", ""), client.host[:64] if client else "")
