"""Both transports do the same, with an application that can do everything wrong."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as WebRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aspora.client.asgi_transport import AsgiTransport
from aspora.client.http_transport import HttpTransport
from aspora.client.transport import Request, Transport
from aspora.meta.errors import Timeout, Unavailable

PATIENCE_SECONDS = 30.0


class Server:
    """The application, and what has become of its streams."""

    def __init__(self) -> None:
        self.produced = 0
        self.left = asyncio.Event()
        self.finished = asyncio.Event()
        self.hanging = asyncio.Event()
        routes = [
            Route("/echo/{rest:path}", self._echo, methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/status/{code:int}", self._status),
            Route("/redirect", self._redirect),
            Route("/hang", self._hang),
            Route("/late-end", self._late_end),
            Route("/lines/{count:int}", self._lines),
            Route("/cut", self._cut),
        ]
        self.app = Starlette(routes=routes)

    async def _echo(self, request: WebRequest) -> Response:
        body = (await request.body()).decode()
        seen = {name: request.headers.get(name) for name in ("authorization", "content-type", "accept")}
        query = dict(request.query_params)
        return JSONResponse({"method": request.method, "path": request.url.path, "query": query, "body": body, **seen})

    async def _status(self, request: WebRequest) -> Response:
        return Response(b"x" * 100_000, status_code=request.path_params["code"], headers={"Retry-After": "3"})

    async def _redirect(self, request: WebRequest) -> Response:
        return Response(status_code=307, headers={"location": "/echo/elsewhere"})

    async def _hang(self, request: WebRequest) -> Response:
        self.hanging.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async def _late_end(self, request: WebRequest) -> Any:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await JSONResponse({})(scope, receive, send)
            await asyncio.sleep(0.02)
            self.finished.set()

        return answer

    async def _lines(self, request: WebRequest) -> Response:
        async def produce() -> AsyncGenerator[bytes]:
            try:
                for number in range(request.path_params["count"]):
                    self.produced += 1
                    yield json.dumps({"n": number, "filler": "x" * 20_000}).encode() + b"\n"
                if "stay" in request.query_params:
                    await asyncio.sleep(3600)
            finally:
                self.left.set()

        return StreamingResponse(produce())

    async def _cut(self, request: WebRequest) -> Response:
        async def produce() -> AsyncGenerator[bytes]:
            yield b'{"n":0}\n'
            raise RuntimeError("cut")

        return StreamingResponse(produce())


@asynccontextmanager
async def over_http(server: Server) -> AsyncGenerator[Transport]:
    config = uvicorn.Config(server.app, port=0, log_config=None, lifespan="off", access_log=False)
    http = uvicorn.Server(config)
    serving = asyncio.create_task(http.serve())
    while not http.started:
        await asyncio.sleep(0.005)
    port = http.servers[0].sockets[0].getsockname()[1]
    transport = HttpTransport(f"http://127.0.0.1:{port}/", api_key="aspora_k_s")
    try:
        yield transport
    finally:
        await transport.close()
        http.should_exit = True
        http.force_exit = True
        await serving


@asynccontextmanager
async def in_process(server: Server) -> AsyncGenerator[Transport]:
    transport = AsgiTransport(server.app, api_key="aspora_k_s")
    yield transport
    await transport.close()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(params=[in_process, over_http])
async def transport(request: pytest.FixtureRequest, server: Server) -> AsyncGenerator[Transport]:
    make: Callable[[Server], Any] = request.param
    async with make(server) as made:
        yield made


async def test_a_request_arrives_as_it_was_meant(transport: Transport) -> None:
    body = '{"é":"\\n"}'.encode()
    request = Request("PUT", "/echo/a%20b%2Fc", {"labelSelector": "a in (b),c=ü&", "x": "1+1"}, body)
    answer = await transport.request(request, timeout_seconds=PATIENCE_SECONDS)
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "method": "PUT",
        "path": "/echo/a b/c",
        "query": {"labelSelector": "a in (b),c=ü&", "x": "1+1"},
        "body": body.decode(),
        "authorization": "Bearer aspora_k_s",
        "content-type": "application/json",
        "accept": "application/json",
    }


async def test_a_request_without_body_says_nothing_of_one(transport: Transport) -> None:
    answer = await transport.request(Request("DELETE", "/echo/x", {}), timeout_seconds=PATIENCE_SECONDS)
    assert (json.loads(answer.body)["body"], json.loads(answer.body)["content-type"]) == ("", None)


@pytest.mark.parametrize("code", [200, 404, 503])
async def test_any_status_comes_back_whole(transport: Transport, code: int) -> None:
    answer = await transport.request(Request("GET", f"/status/{code}", {}), timeout_seconds=PATIENCE_SECONDS)
    assert (answer.status, len(answer.body), answer.headers["retry-after"]) == (code, 100_000, "3")


async def test_a_redirect_is_not_followed_with_the_key(transport: Transport) -> None:
    answer = await transport.request(Request("GET", "/redirect", {}), timeout_seconds=PATIENCE_SECONDS)
    assert answer.status == 307


async def test_many_at_once(transport: Transport) -> None:
    requests = [Request("POST", f"/echo/{n}", {}, str(n).encode()) for n in range(50)]
    answers = await asyncio.gather(*(transport.request(r, timeout_seconds=PATIENCE_SECONDS) for r in requests))
    assert [json.loads(a.body)["body"] for a in answers] == [str(n) for n in range(50)]


async def test_a_deadline_ends_a_request_and_the_wait_for_a_stream(transport: Transport) -> None:
    with pytest.raises(Timeout, match=r"GET /hang was not answered within 0\.05 s"):
        await transport.request(Request("GET", "/hang", {}), timeout_seconds=0.05)
    with pytest.raises(Timeout):
        async with transport.stream(Request("GET", "/hang", {}), timeout_seconds=0.05):
            pytest.fail("the answer began")


async def test_cancelling_a_request_is_prompt(transport: Transport, server: Server) -> None:
    waiting = asyncio.create_task(transport.request(Request("GET", "/hang", {}), timeout_seconds=60))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.hanging.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting


async def test_what_comes_after_an_answer_is_not_cut(transport: Transport, server: Server) -> None:
    await transport.request(Request("GET", "/late-end", {}), timeout_seconds=PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.finished.wait()


async def test_a_stream_comes_as_it_is_made(transport: Transport) -> None:
    async with transport.stream(Request("GET", "/lines/3", {"stay": "1"}), timeout_seconds=PATIENCE_SECONDS) as answer:
        seen = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for chunk in answer.chunks:
                seen += chunk
                if seen.count(b"\n") == 3:
                    break
    assert [json.loads(line)["n"] for line in seen.splitlines()] == [0, 1, 2]


async def test_a_stream_may_last_longer_than_its_start(transport: Transport) -> None:
    async with transport.stream(Request("GET", "/lines/2", {}), timeout_seconds=1.0) as answer:
        await asyncio.sleep(1.1)
        assert len(b"".join([chunk async for chunk in answer.chunks]).splitlines()) == 2


async def test_leaving_a_stream_ends_it_at_its_source(transport: Transport, server: Server) -> None:
    async with transport.stream(Request("GET", "/lines/1", {"stay": "1"}), timeout_seconds=PATIENCE_SECONDS) as answer:
        await anext(answer.chunks)
        assert not server.left.is_set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.left.wait()


async def test_a_reader_who_waits_holds_the_source_back(transport: Transport, server: Server) -> None:
    request = Request("GET", "/lines/4000", {})
    async with transport.stream(request, timeout_seconds=PATIENCE_SECONDS) as answer:
        await anext(answer.chunks)
        before = -1
        while server.produced != before:
            before = server.produced
            await asyncio.sleep(0.1)
        assert server.produced < 2000


async def test_a_stream_that_breaks_is_unavailable_and_not_an_end(transport: Transport) -> None:
    async with transport.stream(Request("GET", "/cut", {}), timeout_seconds=PATIENCE_SECONDS) as answer:
        with pytest.raises(Unavailable, match="broke off"):
            assert [chunk async for chunk in answer.chunks] == []


async def test_nobody_there_is_unavailable_and_says_where() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        transport = HttpTransport(url)
        with pytest.raises(Unavailable, match=f"no gateway answers at {url}"):
            await transport.request(Request("GET", "/", {}), timeout_seconds=PATIENCE_SECONDS)
        with pytest.raises(Unavailable, match=f"no gateway answers at {url}"):
            async with transport.stream(Request("GET", "/", {}), timeout_seconds=PATIENCE_SECONDS):
                pytest.fail("the answer began")
        await transport.close()


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_something_else_there_is_unavailable(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as stranger:
        transport = HttpTransport(f"http://127.0.0.1:{stranger.sockets[0].getsockname()[1]}")
        with pytest.raises(Unavailable):
            await transport.request(Request("GET", "/", {}), timeout_seconds=PATIENCE_SECONDS)
        await transport.close()


async def test_a_stream_that_falls_silent_is_dead(server: Server) -> None:
    async with over_http(server) as speaking:
        transport = HttpTransport(speaking.source, silence_timeout_seconds=0.1)
        request = Request("GET", "/lines/1", {"stay": "1"})
        async with transport.stream(request, timeout_seconds=PATIENCE_SECONDS) as answer:
            with pytest.raises(Unavailable, match="broke off"):
                assert [chunk async for chunk in answer.chunks] == []
        await transport.close()


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a gateway's address"):
        HttpTransport(url)
