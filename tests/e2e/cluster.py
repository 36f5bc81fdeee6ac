"""Gateways, executors and controllers as processes over one database, and a load balancer before the gateways."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tests.servers import free_port

from aspora.testing.folders import throwaway_folder
from aspora.testing.postgres import fast_folder

READY_SECONDS = 240.0
STOP_SECONDS = 60.0
HEALTH_SECONDS = 0.1
COUNT = """
import time
from aspora_sdk import SkillResult, skill_handler

@skill_handler
def handler(context):
    time.sleep(context.input.metadata["seconds"])
    return SkillResult(success=True, message="counted", data={"n": context.input.metadata["n"]})
"""
SKILL_MD = "---\nname: count\ndescription: {description}\n---\nCount.\n"


@dataclass(slots=True)
class Node:
    """One process of a cluster; started again it keeps its port and its data directory."""

    role: str
    name: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait for its ready line."""
        with self.log.open("ab") as sink:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aspora", self.role, *self.arguments),
                env=dict(self.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            line = await self.process.stdout.readline()
        assert b"is ready" in line, f"{self.name} did not start:\n{self.log.read_text()[-4000:]}"

    async def end(self, sent: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sent)
        async with asyncio.timeout(STOP_SECONDS):
            return await self.process.wait()

    async def restart(self, sent: signal.Signals) -> int:
        """End it so and start it again."""
        code = await self.end(sent)
        await self.start()
        return code


@dataclass(slots=True)
class Backend:
    """One gateway as the load balancer knows it."""

    port: int
    is_ready: bool = False


@dataclass(slots=True)
class Balancer:
    """A TCP load balancer: asks `/readyz`, goes round those that are ready, tries another when a connection is refused.

    It never sends a request twice: what a connection that stood loses, the client sees.
    """

    backends: list[Backend]
    port: int = 0
    refused: int = 0
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def keep_asking(self, backend: Backend) -> None:
        """Know whether a gateway wants requests."""
        while True:
            backend.is_ready = await _is_ready(backend.port)
            await asyncio.sleep(HEALTH_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        own = asyncio.current_task()
        assert own is not None
        self._tasks.add(own)
        try:
            far = await self._connect()
            if far is not None:
                pumps = [asyncio.create_task(_pump(reader, far[1])), asyncio.create_task(_pump(far[0], writer))]
                try:
                    await pumps[1]
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
                    far[1].transport.abort()
        except asyncio.CancelledError:
            return  # By `close`; the stream server would log it as a defect.
        finally:
            self._tasks.discard(own)
            with contextlib.suppress(OSError):
                writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        async with asyncio.timeout(60):
            while True:
                ready = [b for b in self.backends if b.is_ready]
                start = next(self._turn)
                for i in range(len(ready)):
                    backend = ready[(start + i) % len(ready)]
                    try:
                        return await asyncio.open_connection("127.0.0.1", backend.port)
                    except ConnectionRefusedError:
                        self.refused += 1
                        backend.is_ready = False
                await asyncio.sleep(HEALTH_SECONDS)

    async def close(self) -> None:
        """Hang up."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was hung up is closed in the loop's next turn


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _is_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(slots=True)
class Cluster:
    """What a test works with."""

    folder: Path
    environ: Mapping[str, str]
    balancer: Balancer
    session: aiohttp.ClientSession
    nodes: list[Node] = field(default_factory=list)

    def those(self, role: str) -> list[Node]:
        """The nodes of a role."""
        return [node for node in self.nodes if node.role == role]

    @property
    def url(self) -> str:
        """The load balancer's."""
        return f"http://127.0.0.1:{self.balancer.port}"

    @property
    def key(self) -> str:
        """The administrator's, wherever the first gateway put it."""
        (found,) = self.folder.glob("*/admin.key")
        return found.read_text().strip()

    def add(self, role: str, *arguments: str, **environ: str) -> Node:
        """One more node, not started."""
        name = f"{role}-{len(self.those(role)) + 1}"
        data_dir = self.folder / name
        own = {**self.environ, "ASPORA_DATA_DIR": str(data_dir), **environ}
        node = Node(role, name, arguments, own, self.folder / f"{name}.log")
        self.nodes.append(node)
        return node

    async def start_all(self, *, gateways: int, executors: int, controllers: int) -> None:
        """Start so many of each, and wait until all are ready."""
        for _ in range(gateways):
            port = free_port()
            self.balancer.backends.append(Backend(port))
            self.add("gateway", "--port", str(port))
        for role, count in (("executor", executors), ("controllers", controllers)):
            for _ in range(count):
                self.add(role, "--metrics-port", str(free_port()), ASPORA_URL=self.url)
        await asyncio.gather(*(node.start() for node in self.nodes))

    async def command(self, *argv: str) -> str:
        """A command line that must succeed, against the load balancer."""
        environ = {**self.environ, "ASPORA_DATA_DIR": str(self.folder / "cli"), "ASPORA_URL": self.url}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aspora", *argv),
            env={**environ, "ASPORA_API_KEY": self.key},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, out.decode()
        return out.decode()

    async def apply_count(self, *, description: str = "Counts.") -> None:
        """Make the skill `nodes/count`; another description makes another revision."""
        skill = self.folder / "skills" / "nodes" / "count"
        (skill / "code").mkdir(parents=True, exist_ok=True)
        (skill / "SKILL.md").write_text(SKILL_MD.format(description=description))
        (skill / "code" / "handler.py").write_text(COUNT)
        await self.command("apply", "-f", str(self.folder / "skills"))

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        sent = {"Authorization": f"Bearer {self.key}", "Connection": "close", **(headers or {})}
        async with self.session.request(method, self.url + path, json=body, headers=sent) as answer:
            text = await answer.text()
            return Answer(answer.status, json.loads(text) if text else None, dict(answer.headers))

    async def event_types(self, execution: str) -> list[str]:
        """What happened to an execution, in order."""
        path = f"/api/v1/domains/nodes/executions/{execution}/events"
        headers = {"Authorization": f"Bearer {self.key}", "Connection": "close"}
        async with self.session.get(self.url + path, headers=headers) as answer:
            return [json.loads(line)["type"] for line in (await answer.text()).splitlines()]

    async def count(self, n: int, *, seconds: float, wait: int, key: str = "") -> Answer:
        """Run the skill; with no `wait` the execution is durable."""
        path = f"/api/v1/domains/nodes/skills/count/executions?wait={wait}"
        wire = {"input": {"userMessage": "", "userId": f"u{n}", "metadata": {"n": n, "seconds": seconds}}}
        return await self.call("POST", path, wire, headers={"Idempotency-Key": key} if key else {})

    def logs(self) -> str:
        """The end of every log, for a failed assertion."""
        return "\n".join(f"--- {node.name}\n{node.log.read_text()[-1500:]}" for node in self.nodes)


@contextlib.asynccontextmanager
async def cluster(dsn: str, **environ: str) -> AsyncGenerator[Cluster]:
    """A cluster without nodes over a database; they end with the block."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("ASPORA_", "OPENROUTER_"))}
    with throwaway_folder("nodes", parent=fast_folder(), mode=0o755) as folder:
        own = {
            "ASPORA_DATABASE_URL": dsn,
            "ASPORA_ARTIFACTS_URL": str(folder / "artifacts"),
            "ASPORA_DRAIN_SECONDS": "1",
            "ASPORA_SANDBOX_WARM": "1",
            "ASPORA_EXECUTOR_SLOTS": "4",
            "ASPORA_NODE_LEASE_SECONDS": "20",
            "NO_COLOR": "1",
        }
        balancer = Balancer([])
        server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
        balancer.port = server.sockets[0].getsockname()[1]
        asking: list[asyncio.Task[None]] = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            made = Cluster(folder, {**base, **own, **environ}, balancer, session)
            original = balancer.backends

            async def watch_backends() -> None:
                known = 0
                while True:
                    for backend in original[known:]:
                        asking.append(asyncio.create_task(balancer.keep_asking(backend)))
                    known = len(original)
                    await asyncio.sleep(HEALTH_SECONDS)

            watching = asyncio.create_task(watch_backends())
            try:
                yield made
            finally:
                watching.cancel()
                for task in asking:
                    task.cancel()
                await asyncio.gather(watching, *asking, return_exceptions=True)
                for node in made.nodes:
                    if node.process is not None and node.process.returncode is None:
                        await node.end(signal.SIGKILL)
                server.close()
                await balancer.close()
