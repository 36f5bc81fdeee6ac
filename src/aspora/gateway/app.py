"""The gateway's frame: middleware around routes that parts bring as lists. Knows no part and no kind."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from aspora.audit.interface import RefusalTrail
from aspora.gateway.http import MAX_OBJECT_BYTES
from aspora.gateway.middleware.authentication import Authenticate, AuthenticationMiddleware, Impersonate
from aspora.gateway.middleware.errors import ErrorsMiddleware
from aspora.gateway.middleware.limits import BodyCapMiddleware, DeadlineMiddleware
from aspora.gateway.middleware.observe import ObserveMiddleware
from aspora.gateway.probes import probe_routes
from aspora.kit.clock import Clock
from aspora.telemetry.metrics import Metrics

ReadyCheck = Callable[[], Awaitable[None]]
"""Returns when the part is ready, raises with what is wrong when it isn't."""


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What the frame needs.

    Attributes:
        authenticate: From a bearer key to a caller.
        clock: For durations.
        metrics: Where all parts count.
        version: Aspora's version, for `/version`.
        ready_checks: Name → check; all must pass for `/readyz`.
        max_body_bytes: Cap for bodies of handlers that don't raise it themselves.
        deadline_seconds: Until an answer begins; longer than the longest `wait` any handler offers.
        impersonate: From a caller and a name to the caller acting as that user; None refuses all who ask.
        trail: Is told of those who may not act as somebody else.
    """

    authenticate: Authenticate
    clock: Clock
    metrics: Metrics
    version: str
    ready_checks: Mapping[str, ReadyCheck] = field(default_factory=dict[str, ReadyCheck])
    max_body_bytes: int = MAX_OBJECT_BYTES
    deadline_seconds: float = 75.0
    impersonate: Impersonate | None = None
    trail: RefusalTrail | None = None


def build_app(config: AppConfig, parts: Sequence[Sequence[BaseRoute]]) -> ASGIApp:
    """The whole gateway as one ASGI application.

    Args:
        config: The frame's settings.
        parts: Each part's routes; where two match, the earlier part answers, so the generic object routes come last.
    """
    probes = probe_routes(version=config.version, checks=config.ready_checks, metrics=config.metrics)
    router = Router([*probes, *(route for part in parts for route in part)], redirect_slashes=False)
    app: ASGIApp = AuthenticationMiddleware(
        router, authenticate=config.authenticate, impersonate=config.impersonate, trail=config.trail
    )
    app = BodyCapMiddleware(app, max_bytes=config.max_body_bytes)
    app = DeadlineMiddleware(app, deadline_seconds=config.deadline_seconds)
    app = ErrorsMiddleware(app)
    app = ObserveMiddleware(app, metrics=config.metrics, clock=config.clock)
    return _Frame(app, router)


class _Frame:
    """Hands HTTP to the layers and the lifespan to the router; there are no web sockets."""

    def __init__(self, app: ASGIApp, router: Router) -> None:
        self._app = app
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        elif scope["type"] == "http":
            scope["app"] = self  # makes the router raise 404 and 405, which ErrorsMiddleware puts into shape
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})
