"""Servers for tests, on loopback: an S3, a Redis, a proxy that falls silent. Each ends with its block."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

REPO = Path(__file__).parents[1]
MOTO = REPO / ".venv" / "test-servers" / "bin" / "moto_server"
START_SECONDS = 90.0
PROBE_SECONDS = 0.05
_SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS_A_WORKER = 1000
_ports = itertools.count(os.getpid())


def free_port() -> int:
    """A port that nobody has, nor gets: no other worker is given it, and no connection, as may be one of port 0."""
    while True:
        port = 20_000 + PORTS_A_WORKER * (WORKER % 10) + next(_ports) % PORTS_A_WORKER
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class PromptServer(uvicorn.Server):
    """Stops when it is told to: uvicorn's looks ten times a second, and waits as long as a request takes."""

    GRACE_SECONDS = 0.5

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def stop(self) -> None:
        """Make `serve` return."""
        self._told.set()

    async def main_loop(self) -> None:
        """Until told to stop."""
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up; requests have a moment to end by themselves."""
        for listening in self.servers:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.GRACE_SECONDS):
                await self._all_ended()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._all_ended()

    async def _all_ended(self) -> None:
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.002)


@dataclass(slots=True)
class Server:
    """A server that can be killed and started again on the same port."""

    command: Sequence[str]
    port: int
    answers: Callable[[int], bool]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers(self.port):
            assert self.process.poll() is None, f"{self.command[0]} ended with {self.process.returncode}"
            assert time.monotonic() < deadline, f"{self.command[0]} did not answer within {START_SECONDS:g} s"
            time.sleep(PROBE_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Stop or continue it."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once; harmless when it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def _running(server: Server) -> Generator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _s3_answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5):
        return True
    return False


def make_bucket(port: int, name: str) -> None:
    """An empty bucket; one that is there already is emptied by nobody."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{name}", method="PUT", headers={"Authorization": _SIGNED}
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def s3_environment(port: int) -> dict[str, str]:
    """What a process needs to use that S3."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
    }


@contextlib.contextmanager
def s3_server() -> Generator[Server]:
    """An S3 of moto's; the test is skipped where its environment has not been made."""
    if not MOTO.exists():
        pytest.skip(f"no S3 to test with: {MOTO} is missing; make it with `make test-servers`")
    port = free_port()
    with _running(Server([str(MOTO), "-H", "127.0.0.1", "-p", str(port)], port, _s3_answers)) as server:
        yield server


def _redis_answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(5)
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


@contextlib.contextmanager
def redis_server() -> Generator[Server]:
    """A Redis that keeps nothing on disk; the test is skipped where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis to test with: redis-server is not installed (Debian: apt install redis-server)")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp"]
    with _running(Server([program, *options, "--maxmemory", "64mb"], port, _redis_answers)) as server:
        yield server


@dataclass(slots=True)
class Proxy:
    """Forwards TCP to a target, a port or a Unix socket, and can fall silent: connections stay open, nothing moves.

    What is silent loses what was sent meanwhile, as a network that drops packets without a word does. Made of
    protocols and not of streams: a connection is known from the moment it is made, so that none is left at the end.
    """

    target: int | str
    port: int = 0
    accepted: int = 0
    closed: bool = False
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: set["_End"] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def fall_silent(self) -> None:
        """From now on no byte passes; new connections are taken and hear nothing."""
        self._flowing.clear()

    def speak(self) -> None:
        """Bytes pass again on new connections; what was cut in silence is hung up."""
        self._flowing.set()
        for end in list(self._ends):
            if end.lost_bytes:
                end.hang_up()

    def cut(self) -> None:
        """Hang up all connections."""
        for end in list(self._ends):
            end.hang_up()

    async def close(self) -> None:
        """Hang up, and come back when no connection is left."""
        self.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._ends:
            self.cut()
            await asyncio.sleep(0)

    def _accept(self) -> "_End":
        return _End(self, near=True)

    def _made(self, end: "_End", *, near: bool) -> None:
        self._ends.add(end)
        if self.closed:
            end.hang_up()
        elif near:
            self.accepted += 1
            task = asyncio.create_task(self._join(end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _join(self, near: "_End") -> None:
        """Connect to the target for a connection that has come; bytes that come before it wait."""
        await self._flowing.wait()
        far, loop = _End(self, near=False), asyncio.get_running_loop()
        try:
            if isinstance(self.target, str):
                await loop.create_unix_connection(lambda: far, self.target)
            else:
                await loop.create_connection(lambda: far, "127.0.0.1", self.target)
        except OSError:
            near.hang_up()
            return
        near.join(far)
        far.join(near)


class _End(asyncio.Protocol):
    """One of a connection's two ends; what it hears goes to the other."""

    def __init__(self, proxy: Proxy, *, near: bool) -> None:
        self.proxy, self.near = proxy, near
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.early = bytearray()
        self.lost_bytes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.proxy._made(self, near=self.near)

    def join(self, other: "_End") -> None:
        """From now on bytes go to the other end."""
        self.other = other
        if other.transport is None or other.transport.is_closing():
            self.hang_up()
        elif self.early:
            other.transport.write(bytes(self.early))
            self.early.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        elif not self.proxy._flowing.is_set():
            self.lost_bytes = True
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        """The far side reads slowly: this one hears nothing more meanwhile."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def hang_up(self) -> None:
        """Close at once, without waiting for what is not written yet."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy._ends.discard(self)
        if self.other is None:
            return
        if self.proxy._flowing.is_set() or self.proxy.closed:
            self.other.hang_up()
        else:
            self.other.lost_bytes = True  # The end of a connection is not heard either.


@contextlib.asynccontextmanager
async def proxy_to(target: int | str) -> AsyncGenerator[Proxy]:
    """A proxy that forwards until told otherwise."""
    proxy = Proxy(target)
    proxy.speak()
    server = await asyncio.get_running_loop().create_server(proxy._accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()


@contextlib.contextmanager
def environment(**values: str) -> Generator[None]:
    """Variables of this process for the time of the block."""
    old = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
