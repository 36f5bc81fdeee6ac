"""Clients that read slowly, or never: they are ended, within bounds, and nobody else notices."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aspora.gateway.connection import BoundedConnection
from aspora.store.interface import Key, Write

from .conftest import Door

PATIENCE_SECONDS = 60
WRITE_SECONDS = 3.0
KIND = "Model"
SIZE = 60_000
COUNT = 160
"""Together more than what every buffer between us and the client can hold."""


@pytest.fixture
async def impatient(door: Door, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A door that waits some seconds, not half a minute, for a client to read."""
    monkeypatch.setattr(BoundedConnection, "write_seconds", WRITE_SECONDS)
    return door


@asynccontextmanager
async def connected(door: Door, path: str) -> AsyncGenerator[socket.socket]:
    """A watch whose answer nobody reads but by hand; the kernel keeps little of it."""
    port = int(door.api.base.rpartition(":")[2])
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(sock, ("127.0.0.1", port))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.admin_key}\r\n\r\n"
        await loop.sock_sendall(sock, head.encode())
        yield sock
    finally:
        sock.close()


async def write_much(door: Door, first: int) -> None:
    """Straight into the store, past admission: big objects of a kind that people can watch."""
    for n in range(first, first + COUNT, 20):
        writes = [
            Write("create", Key(KIND, "", f"m{i}"), {"kind": KIND, "spec": {"text": "x" * SIZE}})
            for i in range(n, n + 20)
        ]
        results = await door.store.write(writes)
        assert all(result.error is None for result in results)


async def drip(sock: socket.socket) -> None:
    """Read one byte at a time, for as long as there are any."""
    while await asyncio.get_running_loop().sock_recv(sock, 1):
        await asyncio.sleep(0.05)


async def rest(sock: socket.socket) -> int:
    """How much can be read until the connection is over."""
    count = 0
    try:
        while piece := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
            count += len(piece)
    except ConnectionError:
        pass
    return count


async def open_streams(door: Door, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while door.streams.open_count != count:
            await asyncio.sleep(0.01)


async def test_one_byte_at_a_time_is_cut_off_and_harms_nobody(impatient: Door) -> None:
    since = (await impatient.store.list(KIND)).resource_version
    path = f"/api/v1/models?watch=true&resourceVersion={since}"
    async with connected(impatient, path) as sock, impatient.api.lines(path) as lines:
        await open_streams(impatient, 2)
        dripping = asyncio.create_task(drip(sock))
        writing = asyncio.create_task(write_much(impatient, 0))
        seen: list[str] = []
        while len(seen) < COUNT:
            event = await lines.next(timeout_seconds=PATIENCE_SECONDS)
            if event["type"] != "BOOKMARK":
                seen.append(event["object"]["metadata"]["name"])
        assert seen == [f"m{n}" for n in range(COUNT)]
        await writing
        await open_streams(impatient, 1)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        # What the client's own kernel had taken is still there to read, and then the connection is over.
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await rest(sock) < SIZE * COUNT // 2


async def test_a_client_that_stops_reading_frees_its_stream(impatient: Door) -> None:
    since = (await impatient.store.list(KIND)).resource_version
    async with connected(impatient, f"/api/v1/models?watch=true&resourceVersion={since}"):
        await open_streams(impatient, 1)
        await write_much(impatient, 0)
        await open_streams(impatient, 0)


async def test_connections_ask_the_kernel_to_notice_a_lost_peer(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    original = BoundedConnection.connection_made

    def noting(self: BoundedConnection, transport: Any) -> None:
        original(self, transport)
        made.append(transport.get_extra_info("socket"))

    monkeypatch.setattr(BoundedConnection, "connection_made", noting)
    async with connected(door, "/api/v1/models?watch=true"):
        await open_streams(door, 1)
        [sock] = made
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30
