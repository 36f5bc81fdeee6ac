"""Answers that stay open: lines of JSON until source, client, time or server ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aspora.gateway.http import NDJSON_TYPE, encode_json
from aspora.gateway.middleware.errors import as_status_error
from aspora.meta.errors import Internal, StatusError, Unavailable
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import HTTP_STREAMS

log = get_logger(__name__)

MAX_STREAM_SECONDS = 3600.0


class Streams:
    """All open streams of a process, so that a stop can end them in order instead of cutting them."""

    def __init__(self, *, metrics: Metrics, max_streams: int = 1000) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._max_streams = max_streams
        self._stopping = False
        metrics.gauge(HTTP_STREAMS).set_function(lambda: self.open_count)

    @property
    def open_count(self) -> int:
        """How many are open now."""
        return len(self._open)

    def close_all(self) -> None:
        """End every stream at a line's end; no new one opens."""
        self._stopping = True
        now = asyncio.get_running_loop().time()
        for limit in self._open:
            limit.reschedule(now)

    def require_room(self) -> None:
        """Ask before a stream's answer begins.

        Raises:
            Unavailable: The server is stopping or has all the streams it can bear.
        """
        if self._stopping:
            raise Unavailable("the server is stopping; connect again", retry_after_seconds=1)
        if len(self._open) >= self._max_streams:
            raise Unavailable(f"{self._max_streams} streams are open, which is the cap", retry_after_seconds=10)

    @asynccontextmanager
    async def limited(self, max_seconds: float) -> AsyncGenerator[asyncio.Timeout]:
        """Run one stream inside: it ends with `TimeoutError` when its time is up or the server stops."""
        async with asyncio.timeout(0 if self._stopping else max_seconds) as limit:
            self._open.add(limit)
            try:
                yield limit
            finally:
                self._open.discard(limit)


class LinesResponse(Response):
    """Streams JSON values as lines. A failure of the source becomes a last line `{"type":"ERROR","object":Status}`."""

    media_type = NDJSON_TYPE

    def __init__(
        self, lines: AsyncIterator[Mapping[str, Any]], *, streams: Streams, max_seconds: float = MAX_STREAM_SECONDS
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines
        self._streams = streams
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one of the ends comes."""
        self._streams.require_room()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sender = asyncio.create_task(self._send_lines(scope, send), name="stream-lines")
        await _until_done_or_gone(sender, receive)

    async def _send_lines(self, scope: Scope, send: Send) -> None:
        limit: asyncio.Timeout | None = None
        try:
            async with self._streams.limited(self._max_seconds) as limit:
                async for line in self._lines:
                    await send({"type": "http.response.body", "body": encode_json(line) + b"\n", "more_body": True})
        except TimeoutError as e:
            if limit is None or not limit.expired():
                await self._send_error(as_status_error(e, scope), e, send)
        except Exception as e:  # noqa: BLE001 - the answer has begun: the error can only travel as its last line
            await self._send_error(as_status_error(e, scope), e, send)
        finally:
            await close_source(self._lines)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_error(self, error: StatusError, cause: Exception, send: Send) -> None:
        if isinstance(error, Internal):
            log.error("stream failed", error=cause)
        line = encode_json({"type": "ERROR", "object": error.to_status()}) + b"\n"
        await send({"type": "http.response.body", "body": line, "more_body": True})


async def _until_done_or_gone(sender: asyncio.Task[None], receive: Receive) -> None:
    """Wait for the sender's end, or cancel it when the client leaves."""
    gone = asyncio.create_task(_wait_for_disconnect(receive), name="stream-disconnect")
    try:
        await asyncio.wait({sender, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, sender):
            if not task.done():
                task.cancel()
        await asyncio.wait({sender, gone})
    if not sender.cancelled():
        sender.result()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def close_source(lines: AsyncIterator[Any]) -> None:
    """End the source now rather than when the garbage collector finds it."""
    close = getattr(lines, "aclose", None)
    if close is not None:
        await close()
