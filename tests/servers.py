"""Servers for tests, on loopback: an S3, a Redis, a proxy that falls silent. Each ends with its block."""

import asyncio
import contextlib
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

REPO = Path(__file__).parents[1]
MOTO = REPO / ".venv" / "test-servers" / "bin" / "moto_server"
START_SECONDS = 90.0
PROBE_SECONDS = 0.05
_SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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

    What is silent loses what was sent meanwhile, as a network that drops packets without a word does.
    """

    target: int | str
    port: int = 0
    accepted: int = 0
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def fall_silent(self) -> None:
        """From now on no byte passes; new connections are taken and hear nothing."""
        self._flowing.clear()

    def speak(self) -> None:
        """Bytes pass again on new connections; what was cut in silence is hung up."""
        self._flowing.set()

    def cut(self) -> None:
        """Hang up all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        own = asyncio.current_task()
        assert own is not None
        self._tasks.add(own)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._flowing.wait()
                far_reader, far_writer = await self._open()
                self._writers.add(far_writer)
                pumps = [
                    asyncio.create_task(self._pump(reader, far_writer)),
                    asyncio.create_task(self._pump(far_reader, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
                    self._writers.discard(far_writer)
                    far_writer.transport.abort()
        finally:
            self._tasks.discard(own)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._flowing.is_set():
                    await self._flowing.wait()
                    return
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def proxy_to(target: int | str) -> AsyncGenerator[Proxy]:
    """A proxy that forwards until told otherwise."""
    proxy = Proxy(target)
    proxy.speak()
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for _ in range(5):
            await asyncio.sleep(0)  # a connection that has just been taken gets its task
        for task in list(proxy._tasks):
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)  # what was hung up is closed in the loop's next turn


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
