"""The server: routes and the record of what came in."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, cast

from aiohttp import web

from aspora.testing.model_server import wire
from aspora.testing.model_server.exchange import HEADERS, Exchange, error_response
from aspora.testing.model_server.script import Player, Script

MAX_REQUEST_BYTES = 32 * 1024 * 1024
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})

Outcome = Literal["open", "answered", "faulted", "unmatched", "client left"]


@dataclass(slots=True)
class RecordedRequest:
    """One request as it came in.

    Attributes:
        path: Path of the URL.
        headers: Lower-case names; the values of headers with credentials are `<redacted>`.
        body: The JSON body; empty for a GET.
        outcome: What became of it; `client left` when the caller closed the connection before the answer's end.
        done: Set when the outcome is final.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outcome: Outcome = "open"
    done: asyncio.Event = field(default_factory=asyncio.Event)


def _redact(headers: Mapping[str, str]) -> dict[str, str]:
    return {k.lower(): "<redacted>" if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()}


class ModelServer:
    """A scripted model server on a port of its own; an async context manager.

    Args:
        script: What to answer.
        host: Address to bind; loopback.
        port: 0 for any free port.
    """

    def __init__(self, script: Script, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._player = Player(script)
        self._script = script
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self._arrived = asyncio.Condition()
        self.requests: list[RecordedRequest] = []
        self.generations: dict[str, Any] = {}
        """What `/v1/generation` tells of an answer by its id; a test fills it in. What is not there is a 404."""
        self.url = ""
        """The base URL, `http://127.0.0.1:PORT/v1`, once started."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/generation", self._generation)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def completions(self) -> list[RecordedRequest]:
        """The completion requests alone, in order of arrival."""
        return [r for r in self.requests if r.path.endswith("/chat/completions")]

    async def wait_for(self, count: int) -> RecordedRequest:
        """Wait until `count` completion requests have arrived; return that one."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.completions) >= count)
        return self.completions[count - 1]

    async def _record(self, request: web.Request, body: Mapping[str, Any]) -> RecordedRequest:
        recorded = RecordedRequest(path=request.path, headers=_redact(request.headers), body=body)
        async with self._arrived:
            self.requests.append(recorded)
            self._arrived.notify_all()
        return recorded

    async def _models(self, request: web.Request) -> web.Response:
        recorded = await self._record(request, {})
        data = [
            {"id": name, "object": "model", "created": wire.CREATED, "owned_by": wire.FINGERPRINT}
            for name in self._script.models
        ]
        recorded.outcome = "answered"
        recorded.done.set()
        return web.json_response({"object": "list", "data": data}, headers=HEADERS)

    async def _generation(self, request: web.Request) -> web.Response:
        recorded = await self._record(request, {})
        told = self.generations.get(request.query.get("id", ""))
        recorded.outcome = "answered"
        recorded.done.set()
        if told is None:
            return error_response(404, "scripted: no such generation", type_="not_found")
        return web.json_response({"data": told}, headers=HEADERS)

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await _json_body(request)
        recorded = await self._record(request, body)
        recorded.outcome = "answered"
        recorded.done.set()
        return web.json_response(wire.embeddings(body), headers=HEADERS)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _json_body(request)
        recorded = await self._record(request, body)
        chosen = self._player.next(body)
        if isinstance(chosen, str):
            recorded.outcome = "unmatched"
            recorded.done.set()
            return error_response(400, f"scripted model server: {chosen}", type_="no_rule_matched")
        exchange = Exchange(request=request, body=body, chosen=chosen, call=len(self.completions), stop=self._closing)
        try:
            response = await exchange.run()
            recorded.outcome = "faulted" if chosen.rule.fault is not None else "answered"
            return response
        except (asyncio.CancelledError, ConnectionError):
            recorded.outcome = "client left"
            raise
        finally:
            recorded.done.set()


async def _json_body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = json.dumps(wire.error_body("the body is no JSON object", type_="invalid_request_error"))
        raise web.HTTPBadRequest(text=text, content_type="application/json", headers=HEADERS)
    return cast("dict[str, Any]", body)
