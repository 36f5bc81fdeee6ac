"""Who sends the request: a bearer API key becomes a `Caller`, or the request ends here."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from aspora.access.interface import Caller
from aspora.client.transport import LEADER_HEADER
from aspora.gateway.http import CALLER_KEY
from aspora.meta.errors import BadRequest, Unauthorized
from aspora.meta.surroundings import Leadership

Authenticate = Callable[[str], Awaitable[Caller]]
"""From the text of a key to its caller; raises `Unauthorized` or `Unavailable`."""

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/version", "/openapi.json"})

_LEADER = LEADER_HEADER.encode()


class AuthenticationMiddleware:
    """Lets nothing but a few public paths pass without a valid key."""

    def __init__(self, app: ASGIApp, *, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            caller = await self._authenticate(_bearer(scope))
            caller = replace(caller, leader=_leader(scope)) if _has_leader(scope) else caller
            scope.setdefault("state", {})[CALLER_KEY] = caller
        await self._app(scope, receive, send)


def _has_leader(scope: Scope) -> bool:
    return any(name == _LEADER for name, _ in scope["headers"])


def _leader(scope: Scope) -> Leadership:
    """What the sender leads, as `Aspora-Leader: NAME/EPOCH` says."""
    texts = [value.decode("latin-1") for name, value in scope["headers"] if name == _LEADER]
    name, _, epoch = texts[0].rpartition("/")
    if len(texts) > 1 or not name or not (epoch.isascii() and epoch.isdecimal() and len(epoch) < 19):
        raise BadRequest("the Aspora-Leader header can't be read; send one 'Aspora-Leader: NAME/EPOCH'")
    return Leadership(name, int(epoch))


def _bearer(scope: Scope) -> str:
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if not found:
        raise Unauthorized("no API key; send it as 'Authorization: Bearer aspora_…' (the CLI reads ASPORA_API_KEY)")
    scheme, _, credential = found[0].decode("latin-1").partition(" ")
    if len(found) > 1 or scheme.lower() != "bearer" or not credential.strip():
        raise Unauthorized("the Authorization header can't be read; send one 'Authorization: Bearer aspora_…'")
    return credential.strip()
