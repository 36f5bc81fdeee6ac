"""Run in a network namespace of its own: two streams of the real HTTP server whose network goes down under them.

One is idle, so that the kernel must ask; one is being sent to, so that what it sends is never confirmed.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from aspora.gateway.connection import KEEPALIVE, BoundedConnection

MARGIN_SECONDS = 30.0
_REAL_SECONDS = 30


def _hurried(lost_seconds: int) -> type[BoundedConnection]:
    """The real connection; where the test has no time for the kernel's real times, they are shortened alike."""
    if lost_seconds >= _REAL_SECONDS:
        return BoundedConnection
    values = {
        socket.TCP_KEEPIDLE: 1,
        socket.TCP_KEEPINTVL: 1,
        socket.TCP_KEEPCNT: max(1, lost_seconds - 1),
        socket.TCP_USER_TIMEOUT: lost_seconds * 1000,
    }

    class Hurried(BoundedConnection):
        keepalive = tuple(
            (level, option, values.get(option, value) if level == socket.IPPROTO_TCP else value)
            for level, option, value in KEEPALIVE
        )

    return Hurried


def _network(*, is_up: bool) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up" if is_up else "down"], check=True)


async def main(lost_seconds: int) -> int:
    """Exit code."""
    await asyncio.to_thread(_network, is_up=True)
    freed = {"idle": asyncio.Event(), "busy": asyncio.Event()}

    async def stream(request: Request) -> StreamingResponse:
        name = request.path_params["name"]

        async def lines() -> AsyncIterator[bytes]:
            try:
                yield b"{}\n"
                while True:
                    await asyncio.sleep(0.05 if name == "busy" else 3600)
                    yield b"{}\n"
            finally:
                freed[name].set()

        return StreamingResponse(lines())

    app = Starlette(routes=[Route("/{name}", stream)])
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=_hurried(lost_seconds), log_level="warning", lifespan="off", access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in freed]
    for name, (reader, writer) in zip(freed, clients, strict=True):
        writer.write(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"{}\n")
    await asyncio.to_thread(_network, is_up=False)
    began = time.monotonic()
    async with asyncio.timeout(lost_seconds + MARGIN_SECONDS):
        for name, event in freed.items():
            await event.wait()
            print(f"{name} freed after {time.monotonic() - began:.1f} s", file=sys.stderr)
    print("idle freed, busy freed")
    server.force_exit = server.should_exit = True
    await serving
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]))))
