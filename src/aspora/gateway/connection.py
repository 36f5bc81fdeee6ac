"""One connection of the HTTP server: caps what may come before a body, ends those that stall, stops without noise.

The server underneath (uvicorn with llhttp) has no cap on header bytes, no clock on a request that is never finished,
and logs a traceback for each request that a stop cuts.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aspora.gateway.http import JSON_TYPE, encode_json
from aspora.meta.errors import BadRequest, StatusError, Unavailable
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_HEAD_BYTES: Final = 64 * 1024
"""For a request's line, headers and trailers together, and for the framing between two parts of a body."""

READ_SECONDS: Final = 30.0
"""For the whole head of a request; then for each part of its body."""

WRITE_SECONDS: Final = 30.0
"""For a client to take enough of an answer that has piled up; else it is cut off, whatever is left unsent."""

STOP_READ_SECONDS: Final = 1.0
"""For the rest of a request that is half sent when the server stops."""

KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)
"""A silent peer is asked after 15 s and given up after 30; so is one that does not confirm what it was sent."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_HEADER_OVERHEAD_BYTES: Final = 4
_TOO_LARGE: Final = f"the request's line and headers are over the cap of {MAX_HEAD_BYTES} bytes"


class _HeadTooLarge(Exception):
    """Ends the parsing; never leaves this module."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection with bounds on what a client may send, and how slowly."""

    read_seconds = READ_SECONDS
    write_seconds = WRITE_SECONDS
    keepalive: Sequence[tuple[int, int, int]] = KEEPALIVE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._is_in_head = False
        self._is_in_body = False
        self._is_stopping = False
        self._read_deadline: float | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the first request must come in time too."""
        super().connection_made(transport)
        _notice_lost_peer(transport.get_extra_info("socket"), self.keepalive)
        self._expect_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; whoever waits for more of the body learns that there is none."""
        for timer in (self._read_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits to be sent than we keep: the answer waits, and the client has so long to take some of it."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_seconds, self._cut_off)

    def resume_writing(self) -> None:
        """The client took enough."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _cut_off(self) -> None:
        log.info("a client that does not read was cut off", seconds=self.write_seconds)
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            # Else the kernel would keep what is unsent, megabytes of it, for as long as the client asks for a byte.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in what came: at most 256 KiB at once."""
        was_in_head = self._is_in_head
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse(BadRequest(_TOO_LARGE))
        elif self._is_in_body:
            self._expect_more()
        elif self._is_in_head:
            if not was_in_head:
                self._expect_more()
        elif self._unparsed_bytes == 0:
            self._read_deadline = None
        elif self._read_deadline is None:  # stray bytes between requests
            self._expect_more()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._head_bytes, self._is_in_head = 0, True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the path and query."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer after a body."""
        self._count(len(name) + len(value) + _HEADER_OVERHEAD_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request starts to be handled."""
        self._unparsed_bytes, self._is_in_head, self._is_in_body = 0, False, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte."""
        self._unparsed_bytes, self._is_in_body = 0, False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be parsed, in the shape of every error."""
        self._refuse(BadRequest(_TOO_LARGE if self._head_bytes > MAX_HEAD_BYTES else msg))

    def shutdown(self) -> None:
        """The server stops: a request that is half sent has a moment to become whole."""
        super().shutdown()
        self._is_stopping = True
        if self._is_in_body:
            self._read_deadline = self.loop.time() + STOP_READ_SECONDS
            self._set_timer(self._read_deadline)

    def _count(self, size_bytes: int) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLarge

    def _expect_more(self) -> None:
        """Set the time by which the client must have sent more; at a stop it is not put off any more."""
        if self._is_stopping:
            return
        self._read_deadline = self.loop.time() + self.read_seconds
        if self._read_timer is None:
            self._set_timer(self._read_deadline)

    def _set_timer(self, when: float) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
        self._read_timer = self.loop.call_at(when, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        """One timer serves many requests: it looks at the deadline that holds by now."""
        self._read_timer = None
        if self._read_deadline is None or self.transport.is_closing():
            return
        now = self.loop.time()
        if not self._is_stopping and self._is_waiting_for_us():
            self._read_deadline = now + self.read_seconds
        if self._read_deadline > now:
            self._set_timer(self._read_deadline)
        elif self._is_stopping:
            self._refuse(Unavailable("the server is stopping; send the request again", retry_after_seconds=1))
        else:
            self._refuse(
                BadRequest(
                    f"the rest of the request did not come within {self.read_seconds:g} s; send it again at one go"
                )
            )

    def _is_waiting_for_us(self) -> bool:
        """The client may be silent: we don't read, have not said that it may go on, or owe it an earlier answer."""
        if self.flow.read_paused:
            return True
        if self._is_in_body:
            return self.cycle.waiting_for_100_continue
        return not self._is_all_answered()

    def _is_all_answered(self) -> bool:
        """There is no request whose answer is not complete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _refuse(self, error: StatusError) -> None:
        """Close; with an answer where one is due and none has begun."""
        if self.transport.is_closing():
            return
        if self._is_in_body:
            can_answer = not self.cycle.response_started and not self.pipeline
            self.cycle.disconnected = True
        else:
            can_answer = self._is_all_answered() and (self._is_in_head or self._unparsed_bytes > 0)
        if can_answer:
            self.transport.write(_answer_bytes(error))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, _CutQuietly(app, cycle))


def _notice_lost_peer(sock: Any, keepalive: Sequence[tuple[int, int, int]]) -> None:
    """A peer that is gone without a word (power, network) is noticed by the kernel, whether we send or not."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for level, option, value in keepalive:
        sock.setsockopt(level, option, value)


class _CutQuietly:
    """Runs one request. Only a stop that ran out of patience cancels it: then the connection ends, without a fuss."""

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            log.warning("request cut by the stop", method=scope["method"], path=scope["path"])
            self._cycle.disconnected = True
            self._cycle.transport.abort()


def _answer_bytes(error: StatusError) -> bytes:
    """A whole HTTP answer, written past the application, which never saw the request."""
    body = encode_json(error.to_status())
    head = f"content-type: {JSON_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
    if error.retry_after_seconds is not None:
        head += f"retry-after: {max(1, round(error.retry_after_seconds))}\r\n"
    return STATUS_LINE[error.code] + head.encode() + b"\r\n" + body
