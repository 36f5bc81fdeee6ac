"""Paths of records answer the methods that records don't have, before a generic object route can."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from aspora.meta.errors import MethodNotAllowed

_ALL_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def refusals(routes: Sequence[Route]) -> list[BaseRoute]:
    """One for each path of the routes; they come right after them."""
    allowed: dict[str, set[str]] = {}
    for route in routes:
        allowed.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return [Refusals(path, sorted(methods)) for path, methods in allowed.items()]


class Refusals(BaseRoute):
    """Answers a record's path for all other methods; for all, when none is allowed.

    Not a `Route`, so that nobody publishes it as something that works.
    """

    def __init__(self, path: str, allowed: Sequence[str]) -> None:
        why = f"allowed: {', '.join(allowed)}" if allowed else "such records are only listed"

        async def refuse(request: Request) -> Response:
            raise MethodNotAllowed(f"{request.method} is not answered at {path!r}: {why}", allowed=allowed)

        self._route = Route(path, refuse, methods=_ALL_METHODS)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is the one, whatever the method."""
        match, child = self._route.matches(scope)
        return (Match.NONE if match is Match.NONE else Match.FULL), child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse."""
        await self._route.handle(scope, receive, send)
