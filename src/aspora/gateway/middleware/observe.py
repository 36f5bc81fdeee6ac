"""Each request gets an id, a line in the access log and a place in the metrics."""

import re
import secrets
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aspora.kit.clock import Clock
from aspora.telemetry.logs import get_logger, log_fields
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import HTTP_REQUESTS, HTTP_SECONDS

log = get_logger(__name__)

REQUEST_ID_HEADER = b"x-request-id"
_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_UNROUTED = "none"
_READS = frozenset({"GET", "HEAD"})
"""Successful reads, and whatever Aspora's own processes do, are too many for a log that people read."""


def new_request_id() -> str:
    """96 random bits as hex."""
    return secrets.token_hex(12)


class ObserveMiddleware:
    """The outermost layer: sees every answer, also those that other layers make."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, clock: Clock, new_id: Callable[[], str] = new_request_id
    ) -> None:
        self._app = app
        self._clock = clock
        self._new_id = new_id
        self._requests = metrics.counter(HTTP_REQUESTS)
        self._seconds = metrics.histogram(HTTP_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        began = self._clock.monotonic()

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (REQUEST_ID_HEADER, request_id.encode())]
                headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
                self._note(scope, message["status"], self._clock.monotonic() - began)
            await send(message)

        with log_fields(request=request_id):
            await self._app(scope, receive, send_observed)

    def _request_id(self, scope: Scope) -> str:
        """The caller's own id when it is a decent one, so that traces join; else a new one."""
        for name, value in scope["headers"]:
            if name == REQUEST_ID_HEADER and _GOOD_ID.fullmatch(value):
                return value.decode()
        return self._new_id()

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNROUTED)
        method = scope["method"] if route != _UNROUTED else "ANY"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        caller = scope["state"].get("caller")
        routine = status < 400 and (scope["method"] in _READS or (caller is not None and caller.kind == "system"))
        (log.debug if routine else log.info)(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(seconds * 1000, 1),
            caller=caller.name if caller is not None else "",
            **({"impersonated_by": caller.impersonated_by} if caller is not None and caller.impersonated_by else {}),
        )
