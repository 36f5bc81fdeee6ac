"""Raw sockets against the real server: what never ends, what is too much, what a stop finds half sent."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aspora.access.interface import ANY, Caller, Grant
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.connection import MAX_HEAD_BYTES, BoundedConnection
from aspora.gateway.http import json_response
from aspora.kit.clock import SystemClock
from aspora.telemetry.metrics import Metrics

AUTH = b"Authorization: Bearer good\r\n"
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n" + AUTH
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + AUTH
FAST_SECONDS = 0.2


class Impatient(BoundedConnection):
    """As the real one, but tests don't wait for half a minute."""

    read_seconds = FAST_SECONDS


class Patient(BoundedConnection):
    """Waits long enough for who is on time on a busy machine."""

    read_seconds = 5 * FAST_SECONDS


async def authenticate(text: str) -> Caller:
    return Caller("ann", "user", (Grant(None, frozenset({ANY}), frozenset({ANY})),))


class Site:
    """A running server and its address."""

    def __init__(self, server: uvicorn.Server, hang: asyncio.Event) -> None:
        self.server = server
        self.hanging = hang
        self.port = server.servers[0].sockets[0].getsockname()[1]

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, *parts: bytes) -> tuple[int, Any]:
        """Send the parts and read until the server closes; 0 when it says nothing."""
        reader, writer = await self.open()
        for part in parts:
            try:
                writer.write(part)
                await writer.drain()
            except ConnectionError:
                break
        return await answer_of(reader, writer)


async def answer_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, Any]:
    async with asyncio.timeout(20):
        try:
            data = await reader.read()
        except ConnectionError:
            data = b""
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, None)


@asynccontextmanager
async def running(protocol: type[BoundedConnection], *, stop_seconds: int = 3) -> AsyncGenerator[Site]:
    hanging = asyncio.Event()

    async def echo(request: Request) -> Response:
        return json_response({"bytes": len(await request.body())}, headers={"Connection": "close"})

    async def hang(request: Request) -> Response:
        hanging.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    routes = [Route("/echo", echo, methods=["GET", "POST"]), Route("/hang", hang)]
    app = build_app(AppConfig(authenticate, SystemClock(), Metrics(), "0"), [routes])
    config = uvicorn.Config(
        app, port=0, http=protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=stop_seconds
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield Site(server, hanging)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    async with running(BoundedConnection) as made:
        yield made


@pytest.fixture
async def impatient() -> AsyncGenerator[Site]:
    async with running(Impatient, stop_seconds=1) as made:
        yield made


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: aaaaaaaa\r\n" * (MAX_HEAD_BYTES // 10) + b"\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: aaaaaaaa\r\n" * (MAX_HEAD_BYTES // 10),
    ],
    ids=["one header", "many headers", "path", "trailers"],
)
async def test_a_head_over_the_cap_is_refused(site: Site, head: bytes) -> None:
    status, body = await site.send(head)
    assert (status, body["reason"]) == (400, "BadRequest")
    assert "over the cap" in body["message"]


@pytest.mark.parametrize(
    "start",
    [
        GET + b"X: ",
        b"GET /",
        b"",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["header", "path", "method", "trailer", "chunk extension"],
)
async def test_what_never_ends_is_cut_soon_and_not_taken_in(
    site: Site, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = BoundedConnection.data_received

    def take_counted(self: BoundedConnection, data: bytes) -> None:
        taken.append(len(data))
        take(self, data)

    monkeypatch.setattr(BoundedConnection, "data_received", take_counted)
    await site.send(start, *[b"a" * 65536] * 30)
    assert sum(taken) <= 3 * 256 * 1024
    assert (await site.send(GET + b"\r\n"))[0] == 200


async def test_heads_under_the_cap_and_large_bodies_pass(site: Site) -> None:
    assert (await site.send(GET + b"X: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n"))[0] == 200
    size = 1_500_000
    plain = POST + b"Content-Length: %d\r\n\r\n" % size
    assert await site.send(plain, b"a" * size) == (200, {"bytes": size})
    chunks = b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"
    assert await site.send(POST + b"Transfer-Encoding: chunked\r\n\r\n", chunks) == (200, {"bytes": 50_000})


async def test_what_cannot_be_parsed_is_refused_in_the_shape_of_every_error(site: Site) -> None:
    status, body = await site.send(b"\x16\x03\x01 not http\r\n\r\n")
    assert (status, body["kind"], body["reason"]) == (400, "Status", "BadRequest")


@pytest.mark.parametrize(
    "start",
    [GET, POST + b"Content-Length: 9\r\n\r\nhalf", b"\r\n"],
    ids=["head", "body", "blank lines"],
)
async def test_a_request_that_stalls_is_ended(impatient: Site, start: bytes) -> None:
    status, body = await impatient.send(start)
    assert status == 400
    assert "did not come within" in body["message"]


async def test_a_silent_connection_is_closed_without_a_word(impatient: Site) -> None:
    assert await impatient.send() == (0, None)


async def test_a_slow_body_that_goes_on_passes() -> None:
    async with running(Patient) as site:
        reader, writer = await site.open()
        writer.write(POST + b"Content-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(FAST_SECONDS)
            writer.write(b"a")
        assert await answer_of(reader, writer) == (200, {"bytes": 6})


async def test_a_slow_answer_is_waited_for(impatient: Site) -> None:
    reader, writer = await impatient.open()
    writer.write(GET.replace(b"echo", b"hang") + b"\r\n")
    await impatient.hanging.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * FAST_SECONDS):
            await reader.read()
    writer.close()


async def test_a_stop_ends_half_sent_requests_soon_and_without_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    async with running(BoundedConnection, stop_seconds=30) as site:
        half_heads = [await site.open() for _ in range(3)]
        half_bodies = [await site.open() for _ in range(3)]
        for _, writer in half_heads:
            writer.write(GET)
        for _, writer in half_bodies:
            writer.write(POST + b"Content-Length: 9\r\n\r\nhalf")
        while len(site.server.server_state.tasks) < 3:
            await asyncio.sleep(0.005)
        site.server.should_exit = True
        async with asyncio.timeout(20):
            found = [await answer_of(*connection) for connection in half_bodies]
            assert [(status, body["reason"]) for status, body in found] == [(503, "Unavailable")] * 3
            for connection in half_heads:
                assert (await answer_of(*connection))[0] == 0
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]


async def test_what_a_stop_must_cut_leaves_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    async with running(BoundedConnection, stop_seconds=1) as site:
        connection = await site.open()
        connection[1].write(GET.replace(b"echo", b"hang") + b"\r\n")
        await site.hanging.wait()
    assert (await answer_of(*connection))[0] == 0
    assert not [r for r in caplog.records if r.exc_info]
    assert [r.message for r in caplog.records].count("request cut by the stop") == 1
