"""Answers that stay open: values of JSON in frames until source, client, time or server ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aspora.gateway.framing import NDJSON, Framing
from aspora.gateway.middleware.errors import as_status_error
from aspora.meta.errors import Internal, StatusError, Unavailable
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import HTTP_STREAMS

log = get_logger(__name__)

MAX_STREAM_SECONDS = 3600.0
OUTBOX_BYTES = 256 * 1024
"""What may wait for a client that reads slowly, beside one frame and what lies in its socket."""


class Outbox:
    """Frames on their way to a client; all that wait are sent together.

    Args:
        limit_bytes: When so much waits, whoever puts more waits too.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._frames: list[bytes] = []
        self._size_bytes = 0
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_closed = False

    def add(self, frame: bytes) -> None:
        """Put in a frame, whether there is room or not."""
        self._frames.append(frame)
        self._size_bytes += len(frame)
        if self._size_bytes >= self._limit_bytes:
            self._has_room.clear()
        self._has_news.set()

    async def put(self, frame: bytes) -> None:
        """Put in a frame once there is room."""
        if not self._has_room.is_set():
            await self._has_room.wait()
        self.add(frame)

    def close(self) -> None:
        """Nothing comes after what is in it."""
        self._is_closed = True
        self._has_news.set()

    async def take(self) -> bytes | None:
        """All that waits, as soon as there is any; None at the end."""
        if not self._frames and not self._is_closed:
            await self._has_news.wait()
        self._has_news.clear()
        if not self._frames:
            return None
        body = b"".join(self._frames)
        self._frames.clear()
        self._size_bytes = 0
        self._has_room.set()
        return body


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
            raise Unavailable(
                f"{self._max_streams} streams are open, which is the cap; close some, or ask another gateway",
                retry_after_seconds=10,
            )

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
    """Streams JSON values in frames. A failure of the source becomes the last one, `{"type":"ERROR","object":Status}`.

    What the client has not taken yet waits in memory up to `OUTBOX_BYTES`; then the source waits. A client that takes
    nothing at all is cut off by its connection (`gateway.connection`).

    Args:
        lines: Values, or frames that are encoded already.
        framing: How values are told apart.
    """

    def __init__(
        self,
        lines: AsyncIterator[Mapping[str, Any] | bytes],
        *,
        streams: Streams,
        max_seconds: float = MAX_STREAM_SECONDS,
        framing: Framing = NDJSON,
    ) -> None:
        super().__init__(media_type=framing.media_type, headers=dict(framing.headers))
        del self.headers["content-length"]
        self._lines = lines
        self._streams = streams
        self._max_seconds = max_seconds
        self._framing = framing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one of the ends comes."""
        try:
            self._streams.require_room()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        except BaseException:
            await close_source(self._lines)
            raise
        outbox = Outbox(OUTBOX_BYTES)
        filling = asyncio.create_task(self._fill(outbox, scope), name="stream-source")
        sender = asyncio.create_task(_send_all(outbox, send), name="stream-lines")
        try:
            await _until_done_or_gone(sender, receive)
        finally:
            filling.cancel()
            await asyncio.wait({filling})

    async def _fill(self, outbox: Outbox, scope: Scope) -> None:
        limit: asyncio.Timeout | None = None
        try:
            async with self._streams.limited(self._max_seconds) as limit:
                async for line in self._lines:
                    await outbox.put(line if isinstance(line, bytes) else self._framing.frame(line))
        except TimeoutError as e:
            if limit is None or not limit.expired():
                self._put_error(outbox, as_status_error(e, scope), e)
        except Exception as e:  # noqa: BLE001 - the answer has begun: the error can only travel as its last frame
            self._put_error(outbox, as_status_error(e, scope), e)
        finally:
            await close_source(self._lines)
            outbox.close()

    def _put_error(self, outbox: Outbox, error: StatusError, cause: Exception) -> None:
        if isinstance(error, Internal):
            log.error("stream failed", error=cause)
        outbox.add(self._framing.frame({"type": "ERROR", "object": error.to_status()}))


async def _send_all(outbox: Outbox, send: Send) -> None:
    while (body := await outbox.take()) is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


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
