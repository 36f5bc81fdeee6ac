"""Requests to an ASGI application in this very process: the whole path of the gateway, without a socket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import unquote, urlencode

from aspora.client.transport import Request, Response, StreamedResponse
from aspora.meta.errors import Internal, Timeout, Unavailable

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

_CHUNKS_AHEAD = 4
_FINISH_SECONDS = 1.0
"""For what the application does after the end of its answer."""


class AsgiTransport:
    """Calls the application; one call a request."""

    def __init__(self, app: AsgiApp, *, api_key: str = "") -> None:
        self._app = app
        self._api_key = api_key

    @property
    def source(self) -> str:
        """Where the gateway is."""
        return "the gateway in this process"

    async def request(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send, and read the whole answer."""
        async with self._exchange(request) as exchange:
            with _deadline_named(request, timeout_seconds):
                async with asyncio.timeout(timeout_seconds):
                    status, headers = await exchange.start()
                    body = b"".join([chunk async for chunk in exchange.chunks()])
                    return Response(status, headers, body)

    @asynccontextmanager
    async def stream(self, request: Request, *, timeout_seconds: float) -> AsyncGenerator[StreamedResponse]:
        """Send, and give the answer when it begins; leaving the block ends the call."""
        async with self._exchange(request) as exchange:
            with _deadline_named(request, timeout_seconds):
                async with asyncio.timeout(timeout_seconds):
                    status, headers = await exchange.start()
            yield StreamedResponse(status, headers, exchange.chunks())

    @asynccontextmanager
    async def _exchange(self, request: Request) -> AsyncGenerator["_Exchange"]:
        """One call of the application, over at the block's end: by itself once it has answered, else cancelled."""
        exchange = _Exchange(request)
        name = f"asgi {request.method} {request.path}"
        call = asyncio.create_task(exchange.run(self._app, _scope(request, self._api_key)), name=name)
        try:
            yield exchange
            if exchange.is_answered:
                await asyncio.wait({call}, timeout=_FINISH_SECONDS)
        finally:
            call.cancel()
            await asyncio.wait({call})

    async def close(self) -> None:
        """Nothing to let go of: each call ends with its block."""


class _Exchange:
    """One call's messages; the application is held back when nobody reads."""

    def __init__(self, request: Request) -> None:
        self.is_answered = False
        self._request = request
        self._is_sent = False
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(_CHUNKS_AHEAD)
        self._error: Exception | None = None

    async def run(self, app: AsgiApp, scope: MutableMapping[str, Any]) -> None:
        """The application's side."""
        try:
            await app(scope, self._receive, self._messages.put)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the answer
            self._error = error
        await self._messages.put(None)

    async def _receive(self) -> Message:
        if not self._is_sent:
            self._is_sent = True
            return {"type": "http.request", "body": self._request.body or b"", "more_body": False}
        return await asyncio.get_running_loop().create_future()  # The caller leaves by cancelling the call.

    async def start(self) -> tuple[int, dict[str, str]]:
        """The answer's first message."""
        message = await self._messages.get()
        if message is None:
            raise Internal(
                f"{self._request.method} {self._request.path} failed in the gateway; its log says why"
            ) from self._error
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message.get("headers", ())
        }
        return message["status"], headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while True:
            message = await self._messages.get()
            if message is None:
                raise Unavailable(
                    f"the answer to {self._request.path} broke off; send the request again"
                ) from self._error
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                self.is_answered = True
                return


def _scope(request: Request, api_key: str) -> dict[str, Any]:
    headers = {"host": "localhost", **request.headers(api_key)}
    if request.body is not None:
        headers["content-length"] = str(len(request.body))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(request.path),
        "raw_path": request.path.encode("ascii"),
        "query_string": urlencode(request.query).encode("ascii"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": None,
    }


@contextmanager
def _deadline_named(request: Request, timeout_seconds: float) -> Generator[None]:
    try:
        yield
    except TimeoutError:
        raise Timeout(
            f"{request.method} {request.path} was not answered within {timeout_seconds:g} s;"
            " whether it took effect is not known"
        ) from None
