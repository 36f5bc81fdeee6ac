"""Requests over HTTP."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from aspora.client.paths import target
from aspora.client.transport import Request, Response, StreamedResponse
from aspora.meta.errors import Timeout, Unavailable

CONNECT_TIMEOUT_SECONDS = 10.0
SILENCE_TIMEOUT_SECONDS = 75.0
"""A stream that sends nothing for so long is dead: a living one sends a bookmark each 30 s."""

IDLE_SECONDS = 3.0
"""Shorter than the gateway's own 5 s, so that a request never meets a connection that the gateway is closing."""

MAX_CONNECTIONS = 100


class HttpTransport:
    """Keeps connections to one gateway.

    Args:
        url: The gateway's address, e.g. `http://127.0.0.1:7700`.
        api_key: Sent with each request; empty for none.
        ssl_context: For certificates that the system doesn't trust; None trusts what it does.
        silence_timeout_seconds: See `SILENCE_TIMEOUT_SECONDS`.

    Raises:
        ValueError: The address is not one.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        ssl_context: ssl.SSLContext | None = None,
        silence_timeout_seconds: float = SILENCE_TIMEOUT_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not a gateway's address; write it like http://127.0.0.1:7700")
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._api_key = api_key
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._silence_timeout_seconds = silence_timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    @property
    def source(self) -> str:
        """Where the gateway is."""
        return self._url

    async def request(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send, and read the whole answer."""
        with self._translated(request, timeout_seconds):
            async with asyncio.timeout(timeout_seconds), self._send(request) as answer:
                return Response(answer.status, _headers(answer), await answer.read())

    @asynccontextmanager
    async def stream(self, request: Request, *, timeout_seconds: float) -> AsyncGenerator[StreamedResponse]:
        """Send, and give the answer when it begins; leaving the block hangs up."""
        with self._translated(request, timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                answer = await self._send(request)
        try:
            yield StreamedResponse(answer.status, _headers(answer), self._chunks(answer))
        finally:
            answer.close()

    async def close(self) -> None:
        """Hang up all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _send(self, request: Request) -> aiohttp.client._RequestContextManager:  # pyright: ignore[reportPrivateUsage]
        # The session is made here and not in the constructor, since it belongs to the running loop.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=self._silence_timeout_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session.request(
            request.method,
            URL(self._url + target(request.path, request.query), encoded=True),
            headers=request.headers(self._api_key),
            data=request.body,
            ssl=self._ssl,
            allow_redirects=False,
        )

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"the stream from {self._url} broke off ({_cause(error)}); connect again") from error

    @contextmanager
    def _translated(self, request: Request, timeout_seconds: float) -> Generator[None]:
        try:
            yield
        except aiohttp.ServerDisconnectedError as error:
            raise Unavailable(f"{self._url} hung up; whether the request took effect is not known") from error
        except aiohttp.ClientConnectionError as error:
            raise Unavailable(
                f"no gateway answers at {self._url} ({_cause(error)}); see that one runs there"
            ) from error
        except TimeoutError:
            raise Timeout(
                f"{request.method} {request.path} was not answered within {timeout_seconds:g} s;"
                " whether it took effect is not known"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                f"{self._url} did not answer as an Aspora gateway would ({_cause(error)}); "
                "see that the address is right"
            ) from error


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _cause(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
