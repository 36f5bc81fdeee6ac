"""A cap on every body and a deadline on every answer's beginning."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aspora.gateway.http import BODY_LIMIT_KEY
from aspora.meta.errors import BadRequest, Timeout, TooLarge


class BodyCapMiddleware:
    """Counts bytes as they come, whatever Content-Length says; a handler may raise its own cap with `allow_body`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        seen_bytes = 0
        declared_bytes = _content_length(scope)

        async def receive_counted() -> Message:
            nonlocal seen_bytes
            max_bytes: int = scope.get("state", {}).get(BODY_LIMIT_KEY, self._max_bytes)
            if declared_bytes > max_bytes:
                raise _too_large(max_bytes)
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > max_bytes:
                raise _too_large(max_bytes)
            return message

        await self._app(scope, receive_counted, send)


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18:
                raise BadRequest("the Content-Length header is not a number; send the body's size in bytes")
            return int(value)
    return 0


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the body is over the cap of {max_bytes} bytes for this path")


class DeadlineMiddleware:
    """An answer begins within the deadline or is a Timeout; what streams after that has its own limits."""

    def __init__(self, app: ASGIApp, *, deadline_seconds: float) -> None:
        self._app = app
        self._deadline_seconds = deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        deadline = asyncio.timeout(self._deadline_seconds)
        try:
            async with deadline:

                async def lift_at_start(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        deadline.reschedule(None)
                    await send(message)

                await self._app(scope, receive, lift_at_start)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Timeout(
                f"no answer within {self._deadline_seconds:g} s; "
                "whether the request took effect is not known; look before sending it again"
            ) from None
