"""Refused writes are told to the audit; accepted ones are kept by the transaction that makes them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from aspora.access.interface import Caller
from aspora.audit.interface import Refusal, RefusalTrail
from aspora.gateway.http import CALLER_KEY, printable
from aspora.gateway.origin import origin_of
from aspora.meta.errors import StatusError
from aspora.meta.names import MAX_NAME_LENGTH

Handler = Callable[[Request], Awaitable[Response]]

_NAME_KEY = "audited_name"


@dataclass(frozen=True, slots=True)
class Auditor:
    """Puts the audit around handlers that write.

    Attributes:
        trail: Where refusals go; None to tell nobody.
    """

    trail: RefusalTrail | None = None

    def around(self, handler: Handler, *, verb: Callable[[Request], str], kind: Callable[[Request], str]) -> Handler:
        """The handler, whose refusals are told."""
        trail = self.trail
        if trail is None:
            return handler

        @wraps(handler)
        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except StatusError as error:
                caller = request.scope.get("state", {}).get(CALLER_KEY)
                if caller is not None and request.query_params.get("dryRun") != "All":
                    trail.refused(_refusal(request, caller, error, verb=verb(request), kind=kind(request)))
                raise

        return handle


def note_name(request: Request, name: object) -> None:
    """The name that a body gives the object, for the audit of a path that has none."""
    if isinstance(name, str):
        request.scope.setdefault("state", {})[_NAME_KEY] = name


def _refusal(request: Request, caller: Caller, error: StatusError, *, verb: str, kind: str) -> Refusal:
    path = request.path_params
    name = path.get("name") or path.get("skill") or request.scope["state"].get(_NAME_KEY, "")
    return Refusal(
        act=origin_of(request).act(caller, verb),
        kind=printable(kind),
        domain=printable(path.get("domain") or "", max_length=MAX_NAME_LENGTH),
        name=printable(name, max_length=MAX_NAME_LENGTH),
        reason=error.reason,
    )
