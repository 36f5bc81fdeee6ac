"""A whole site for tests: the serving door over HTTP, a real database, and executor processes that can be killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from tests.servers import PromptServer

from aspora.access.interface import Caller, Grant
from aspora.apis.revision import revision_name
from aspora.apis.route import route_name
from aspora.artifacts import ObjectArtifacts, open_artifacts
from aspora.audit.trail import Audit
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.starter import DurableStarter
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.serve.routes import CHANNELS, ServeDoor, serve_routes
from aspora.gateway.streams import Streams
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Unauthorized
from aspora.records.events import Events
from aspora.records.executions import Executions
from aspora.records.nodes import Nodes
from aspora.skills.archive import ArchiveFile, write_archive
from aspora.telemetry.metrics import Metrics
from aspora.testing.folders import throwaway_folder

CHILD = Path(__file__).with_name("executor_child.py")
SKILL_MD = "---\nname: {name}\ndescription: A test skill.\n---\nDo it.\n"
EVERYTHING = Caller("tester", "user", (Grant(None, frozenset({"*"}), frozenset({"*"})),))


class DictReader:
    """Objects in memory, as the view gives them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}

    def put(self, kind: str, domain: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        obj = {"kind": kind, "metadata": {"name": name, "domain": domain}, "spec": dict(spec)}
        self.objects[kind, domain, name] = obj
        return obj

    async def get(self, kind: str, name: str, *, domain: str = "") -> Mapping[str, Any] | None:
        return self.objects.get((kind, domain, name))

    async def list(self, kind: str, *, domain: str | None = None) -> Sequence[Mapping[str, Any]]:
        return [o for (k, d, _), o in sorted(self.objects.items()) if k == kind and domain in {None, d}]


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class ExecutorChild:
    """A running executor process."""

    process: asyncio.subprocess.Process
    log: Path
    ready: dict[str, asyncio.Event] = field(
        default_factory=lambda: {"inline": asyncio.Event(), "durable": asyncio.Event()}
    )

    async def read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if (what := line.decode().strip()) in self.ready:
                self.ready[what].set()

    async def wait_ready(self, what: str) -> None:
        ended = asyncio.create_task(self.process.wait())
        ready = asyncio.create_task(self.ready[what].wait())
        done, _ = await asyncio.wait({ended, ready}, timeout=180, return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, ready):
            task.cancel()
        assert ready in done, f"executor not ready for {what}:\n{self.log.read_text()[-6000:]}"

    async def kill(self, sent: signal.Signals = signal.SIGKILL) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sent)
        return await asyncio.wait_for(self.process.wait(), 60)


class OffClock(SystemClock):
    """The gateway's; its wall time is off by as much as a test says."""

    off = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.off


@dataclass
class Site:
    base: Path
    runtime_dir: Path
    dsn: str
    database: Database
    reader: DictReader
    artifacts: ObjectArtifacts
    callers: dict[str, Caller]
    session: aiohttp.ClientSession
    url: str
    clock: OffClock
    executors: list[ExecutorChild] = field(default_factory=list[ExecutorChild])
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def executions(self) -> Executions:
        return Executions(self.database)

    @property
    def events(self) -> Events:
        return Events(self.database)

    @property
    def nodes(self) -> Nodes:
        return Nodes(self.database)

    async def add_skill(
        self, name: str, code: str | None, *, files: Mapping[str, str] = {}, domain: str = "test", **spec: Any
    ) -> str:
        """Pack a skill, make its revision, point production at it; the revision's name."""
        texts = {"SKILL.md": SKILL_MD.format(name=name), **files, **({"code/handler.py": code} if code else {})}
        packed = write_archive([ArchiveFile(path, text.encode()) for path, text in texts.items()])
        digest = await self.artifacts.put(packed.data)
        runtime = {"language": "python", "entryPoint": "code/handler.py"} if code else {"language": "markdown"}
        skill_spec = {
            "skillMd": {"name": name, "description": "A test skill."},
            "artifact": {"digest": digest, "sizeBytes": len(packed.data), "fileCount": len(texts)},
            **spec,
            "runtime": {**runtime, **spec.get("runtime", {})},
        }
        revision = revision_name(name, digest)
        self.reader.put("Domain", "", domain, {})
        self.reader.put("Skill", domain, name, skill_spec)
        snapshot = {"skill": name, "digest": digest, "version": "1", "skillSpec": skill_spec}
        obj = self.reader.put("Revision", domain, revision, snapshot)
        traffic = [{"revision": revision, "shareBp": 10_000}]
        self.reader.put("Route", domain, route_name(name, "production"), {"skill": name, "traffic": traffic})
        path = self.base / "revisions.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, f"{domain}/{revision}": obj}))
        return revision

    async def start_executor(
        self,
        *,
        slots: int = 4,
        lease_seconds: float = 30.0,
        grace_seconds: float = 2.0,
        durable: bool = False,
        dies: bool = True,
        turned_clock: Path | None = None,
        connections: int | None = None,
        environ: Mapping[str, str] = {},
    ) -> ExecutorChild:
        """Start an executor and wait until it takes work.

        Args:
            dies: Whether the kernel ends it when it can't renew its lease.
            turned_clock: A file that says by how many seconds its wall clock is off; None for a right one.
            connections: Of its work; None for enough of them.
            environ: Laid over this process's environment.
        """
        number = len(self.executors)
        config = {
            "base": str(self.base),
            "runtime_dir": str(self.runtime_dir),
            "dsn": self.dsn,
            "slots": slots,
            "lease_seconds": lease_seconds,
            "grace_seconds": grace_seconds,
            "environment": self.environment,
            "dies": dies,
            "connections": connections,
            "turned_clock": str(turned_clock) if turned_clock else None,
        }
        path, log = self.base / f"executor-{number}.json", self.base / f"executor-{number}.log"
        path.write_text(json.dumps(config))
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(CHILD),
                str(path),
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env={**os.environ, **environ},
            )
        child = ExecutorChild(process, log)
        self.executors.append(child)
        reader = asyncio.create_task(child.read())
        reader.add_done_callback(lambda _: None)
        await child.wait_ready("durable" if durable else "inline")
        return child

    async def let_leases_lapse(self, of: ExecutorChild | None = None) -> None:
        """End the lease of one node, or of every one, a moment ago: what waiting for it would do."""
        lapse = "update nodes set lease_expires_at = now() - interval '1 millisecond' where coalesce(pid = %s, true)"
        async with self.database.connection() as connection:
            await connection.execute(lapse, [of.process.pid if of else None])

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = "tester", headers: Mapping[str, str] = {}
    ) -> Answer:
        sent = {"authorization": f"Bearer {key}", **headers}
        async with self.session.request(method, self.url + path, json=body, headers=sent) as answer:
            text = await answer.text()
            return Answer(answer.status, answer.headers, json.loads(text) if text else None)

    async def run(
        self,
        skill: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        wait: int = 30,
        domain: str = "test",
        headers: Mapping[str, str] = {},
        message: str = "",
        **body: Any,
    ) -> Answer:
        wire_input = {"userMessage": message, "userId": "u1", "metadata": dict(metadata or {})}
        path = f"/api/v1/domains/{domain}/skills/{skill}/executions?wait={wait}"
        return await self.call("POST", path, {"input": wire_input, **body}, headers=headers)

    async def wait_for(
        self, execution: str, accept: Callable[[Mapping[str, Any]], bool], *, within_seconds: float = 60
    ) -> Mapping[str, Any]:
        """The execution's row as soon as it is as wanted."""
        async with asyncio.timeout(within_seconds):
            while not accept(row := await self.executions.get(execution)):
                await asyncio.sleep(0.02)
        return row

    async def wait_end(self, execution: str, *, within_seconds: float = 60) -> Mapping[str, Any]:
        ended = {"Succeeded", "Failed", "Cancelled"}
        return await self.wait_for(execution, lambda row: row["state"] in ended, within_seconds=within_seconds)


@contextlib.contextmanager
def open_folder() -> Generator[Path]:
    """A folder that the sandbox's users can walk through; pytest's own are closed to them."""
    with throwaway_folder("exec", parent=Path("/tmp")) as base:
        yield base


@pytest.fixture(scope="session")
def runtime_dir() -> Generator[Path]:
    """Where sandboxes keep their copied interpreter; one for all tests, since copying takes seconds."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
async def site(database: Database, dsn: str, runtime_dir: Path) -> AsyncGenerator[Site]:
    clock, metrics, stop = OffClock(), Metrics(), asyncio.Event()
    reader, callers, audit = DictReader(), {"tester": EVERYTHING}, Audit(database)
    listener, streams = Listener(dsn, CHANNELS), Streams(metrics=metrics)

    async def authenticate(key: str) -> Caller:
        if key not in callers:
            raise Unauthorized("unknown key")
        return callers[key]

    with open_folder() as base:
        artifacts = open_artifacts(base / "artifacts")
        door = ServeDoor(
            database=database,
            listener=listener,
            reader=reader,
            blobs=artifacts,
            starter=DurableStarter(),
            streams=streams,
            clock=clock,
            trail=audit,
        )
        config = AppConfig(authenticate=authenticate, clock=clock, metrics=metrics, version="0")
        app = build_app(config, [serve_routes(door)])
        server = PromptServer(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", access_log=False))
        tasks = [asyncio.create_task(t) for t in (listener.run(stop), door.run(stop), audit.run(stop), server.serve())]
        while not server.started:
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}"
            made = Site(base, runtime_dir, dsn, database, reader, artifacts, callers, session, url, clock)
            try:
                yield made
            finally:
                for child in made.executors:
                    await child.kill()
        streams.close_all()
        server.stop()
        stop.set()
        await asyncio.gather(*tasks)
