"""Who sends the request: a bearer API key becomes a `Caller`, or the request ends here.

Whoever may, acts as somebody else by the header `Impersonate-User: NAME`, with exactly that user's rights.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from aspora.access.authenticate import IMPERSONATE
from aspora.access.interface import Caller
from aspora.audit.interface import Refusal, RefusalTrail
from aspora.client.transport import LEADER_HEADER
from aspora.gateway.http import CALLER_KEY, printable
from aspora.gateway.origin import origin_of
from aspora.meta.errors import BadRequest, Forbidden, Unauthorized
from aspora.meta.surroundings import Leadership

Authenticate = Callable[[str], Awaitable[Caller]]
"""From the text of a key to its caller; raises `Unauthorized` or `Unavailable`."""

Impersonate = Callable[[Caller, str], Awaitable[Caller]]
"""From a caller and a name to the caller acting as that user; raises `Forbidden` or `Unavailable`."""

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/version", "/openapi.json"})
IMPERSONATE_HEADER = b"impersonate-user"
MAX_USER_CHARACTERS = 255
"""As in role bindings and keys."""

_LEADER = LEADER_HEADER.encode()


class AuthenticationMiddleware:
    """Lets nothing but a few public paths pass without a valid key.

    Args:
        app: What lies behind.
        authenticate: Knows keys.
        impersonate: Knows users; None refuses everybody who asks.
        trail: Is told of those who were refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Authenticate,
        impersonate: Impersonate | None = None,
        trail: RefusalTrail | None = None,
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._impersonate = impersonate
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            caller = await self._authenticate(_bearer(scope))
            caller = replace(caller, leader=_leader(scope)) if _has_leader(scope) else caller
            state = scope.setdefault("state", {})
            state[CALLER_KEY] = caller
            wanted = [value for name, value in scope["headers"] if name == IMPERSONATE_HEADER]
            if wanted:
                state[CALLER_KEY] = await self._as_other(scope, caller, _user(wanted))
        await self._app(scope, receive, send)

    async def _as_other(self, scope: Scope, caller: Caller, name: str) -> Caller:
        try:
            if self._impersonate is None:
                raise Forbidden("nobody may act as somebody else on this path; leave Impersonate-User out")
            return await self._impersonate(caller, name)
        except Forbidden as error:
            if self._trail is not None:
                act = origin_of(Request(scope)).act(caller, IMPERSONATE)
                self._trail.refused(Refusal(act=act, kind="User", domain="", name=printable(name), reason=error.reason))
            raise


def _user(values: list[bytes]) -> str:
    """The one name in the header.

    Raises:
        BadRequest: There are several, or it can't be the name of anybody.
    """
    if len(values) > 1:
        raise BadRequest(f"{len(values)} Impersonate-User headers; send one")
    try:
        name = values[0].decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the Impersonate-User header is not UTF-8; send the user's name as UTF-8") from None
    if not name.strip() or len(name) > MAX_USER_CHARACTERS or not name.isprintable():
        raise BadRequest(
            f"the Impersonate-User header holds no user's name; use 1 to {MAX_USER_CHARACTERS} printable characters"
        )
    return name


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
