"""One request being answered, or wronged: the faults, done to real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from aspora.testing.model_server import wire
from aspora.testing.model_server.script import Chosen, Fault

HEADERS = {"x-aspora-scripted": "true"}


def error_response(status: int, message: str, *, type_: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as a response."""
    return web.json_response(
        wire.error_body(message, type_=type_, code=status), status=status, headers={**HEADERS, **(headers or {})}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and the rule chosen for it; each fault is a method."""

    request: web.Request
    body: Mapping[str, Any]
    chosen: Chosen
    call: int
    stop: asyncio.Event

    @property
    def _streams(self) -> bool:
        return bool(self.body.get("stream"))

    async def run(self) -> web.StreamResponse:
        """Answer as the rule says."""
        fault = self.chosen.rule.fault
        return await (self.answer(None) if fault is None else FAULTS[fault.kind](self, fault))

    def _payload(self) -> dict[str, Any]:
        return wire.completion(self.chosen, self.body, call=self.call)

    def _lines(self) -> list[bytes]:
        """The stream's events, in order, `[DONE]` last."""
        chunks = wire.chunks(self.chosen, self.body, call=self.call)
        options: Any = self.body.get("stream_options")
        if isinstance(options, dict) and cast("dict[str, Any]", options).get("include_usage") is False:
            chunks.pop()
        return [f"data: {json.dumps(c)}\n\n".encode() for c in chunks] + [b"data: [DONE]\n\n"]

    async def _open(self, content_type: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type, "Cache-Control": "no-cache"})
        await response.prepare(self.request)
        return response

    async def _send(self, pieces: list[bytes], *, delay_seconds: float = 0.0) -> web.StreamResponse:
        content_type = "text/event-stream" if self._streams else "application/json"
        response = await self._open(content_type)
        for piece in pieces:
            if delay_seconds:
                await asyncio.sleep(delay_seconds)
            await response.write(piece)
        await response.write_eof()
        return response

    async def answer(self, _: Fault | None) -> web.StreamResponse:
        if self._streams:
            return await self._send(self._lines())
        return web.json_response(self._payload(), headers=HEADERS)

    async def rate_limited(self, fault: Fault) -> web.StreamResponse:
        after = fault.retry_after_seconds
        headers = {} if after is None else {"Retry-After": f"{after:g}" if isinstance(after, float) else after}
        return error_response(429, "scripted: too many requests", type_="rate_limit_exceeded", headers=headers)

    async def server_error(self, _: Fault) -> web.StreamResponse:
        return error_response(500, "scripted: internal error", type_="server_error")

    async def rejected(self, _: Fault) -> web.StreamResponse:
        return error_response(400, "scripted: bad request", type_="invalid_request_error")

    async def unauthorized(self, _: Fault) -> web.StreamResponse:
        return error_response(401, "scripted: no valid key", type_="authentication_error")

    async def bad_gateway_html(self, _: Fault) -> web.StreamResponse:
        page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
        return web.Response(status=502, text=page, content_type="text/html", headers=HEADERS)

    async def hang_before_headers(self, _: Fault) -> web.StreamResponse:
        await self.stop.wait()
        raise ConnectionResetError("the server stops")

    async def hang_after_headers(self, _: Fault) -> web.StreamResponse:
        response = await self._open("text/event-stream" if self._streams else "application/json")
        await self.stop.wait()
        return response

    def _cut(self) -> None:
        transport = self.request.transport
        if transport is not None:
            transport.abort()

    async def reset(self, _: Fault) -> web.StreamResponse:
        self._cut()
        return web.Response()

    async def reset_mid_stream(self, _: Fault) -> web.StreamResponse:
        response = await self._open("text/event-stream" if self._streams else "application/json")
        if self._streams:
            lines = self._lines()
            pieces = lines[: max(2, len(lines) // 2)]
        else:
            pieces = [json.dumps(self._payload()).encode()[:40]]
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.01)  # lets the kernel send the piece: an abort drops what is still buffered
        self._cut()
        return response

    async def broken_json(self, _: Fault) -> web.StreamResponse:
        return await self._send([b'data: {"id": "x", "choi\n\n'] if self._streams else [b'{"id": "x", "choi'])

    async def malformed_sse(self, _: Fault) -> web.StreamResponse:
        return await self._send([b"this is\nno event stream\n\n"] if self._streams else [b'{"choices": "none"}'])

    async def missing_usage(self, _: Fault) -> web.StreamResponse:
        if self._streams:
            lines = self._lines()
            return await self._send([line for line in lines if b'"usage"' not in line])
        payload = self._payload()
        del payload["usage"]
        return web.json_response(payload, headers=HEADERS)

    async def not_streamed(self, _: Fault) -> web.StreamResponse:
        return web.json_response(self._payload(), headers=HEADERS)

    async def slow(self, fault: Fault) -> web.StreamResponse:
        pieces = self._lines() if self._streams else [json.dumps(self._payload()).encode()]
        return await self._send(pieces, delay_seconds=fault.delay_seconds)

    async def huge(self, fault: Fault) -> web.StreamResponse:
        padding = b" " * fault.huge_bytes
        if self._streams:
            return await self._send([b": " + padding + b"\n\n", *self._lines()])
        return await self._send([padding, json.dumps(self._payload()).encode()])


FAULTS: Mapping[str, Callable[[Exchange, Fault], Awaitable[web.StreamResponse]]] = {
    "rate_limited": Exchange.rate_limited,
    "server_error": Exchange.server_error,
    "bad_gateway_html": Exchange.bad_gateway_html,
    "rejected": Exchange.rejected,
    "unauthorized": Exchange.unauthorized,
    "hang_before_headers": Exchange.hang_before_headers,
    "hang_after_headers": Exchange.hang_after_headers,
    "reset": Exchange.reset,
    "reset_mid_stream": Exchange.reset_mid_stream,
    "broken_json": Exchange.broken_json,
    "malformed_sse": Exchange.malformed_sse,
    "missing_usage": Exchange.missing_usage,
    "not_streamed": Exchange.not_streamed,
    "slow": Exchange.slow,
    "huge": Exchange.huge,
}
