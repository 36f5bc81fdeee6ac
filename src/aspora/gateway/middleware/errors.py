"""Every failure takes the one shape on the wire, and none carries a traceback."""

import http

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aspora.gateway.http import error_response, printable
from aspora.meta.errors import BadRequest, Internal, MethodNotAllowed, NotFound, StatusError, TooLarge
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)


class ErrorsMiddleware:
    """Turns what handlers raise into answers; a failure after the answer began only cuts the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        started = False

        async def watch_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch_start)
        except ClientDisconnect:
            return
        except Exception as e:
            error = as_status_error(e, scope)
            if isinstance(error, Internal) and not isinstance(e, StatusError):
                log.error("request failed", error=e, method=scope["method"])
            if started:
                raise
            await error_response(error, scope["path"])(scope, receive, send)


def as_status_error(error: Exception, scope: Scope) -> StatusError:
    """The error that a caller may see."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, HTTPException):
        return _from_http(error, scope)
    return Internal("a defect of Aspora's own; its log has the details under this answer's X-Request-Id")


def _from_http(error: HTTPException, scope: Scope) -> StatusError:
    path = printable(scope["path"])
    match error.status_code:
        case 404:
            return NotFound(f"no such path {path!r}; GET /api/v1 lists what there is")
        case 405:
            allowed = _allowed(scope)
            message = f"{scope['method']} is not answered at {path!r}; allowed: {', '.join(allowed)}"
            return MethodNotAllowed(message, allowed=allowed)
        case 413:
            return TooLarge("the body is too large; send less")
        case code if 400 <= code < 500:
            return BadRequest(f"{http.HTTPStatus(code).phrase}: {printable(str(error.detail))}")
        case _:
            return Internal("a defect of Aspora's own; its log has the details under this answer's X-Request-Id")


def _allowed(scope: Scope) -> list[str]:
    """The methods of all routes of the path; of more general ones that match it too, none would be reached."""
    routes: list[BaseRoute] = scope["router"].routes
    matching = [r for r in routes if isinstance(r, Route) and r.matches(scope)[0] is Match.PARTIAL]
    return sorted({method for route in matching if route.path == matching[0].path for method in route.methods or ()})
