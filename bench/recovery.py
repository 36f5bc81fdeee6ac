"""How soon the work of a dead executor is taken up again: `python -m bench.recovery`.

Method: two executors against one embedded PostgreSQL, each the real process with its sandbox. A skill whose handler
waits runs on one of them; that one gets `kill -9` somewhere in its lease. Measured is the time from the kill until
another attempt owns the execution, for the inline and the durable class apart. The target is two leases. The bound is
the lease itself, which must run out first (it was renewed a third of it ago at most), then the interval of the looks.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aspora.apis.revision import revision_name
from aspora.artifacts import open_artifacts
from aspora.db.embedded import EmbeddedPostgres
from aspora.db.migrate import migrate
from aspora.db.pool import Connection, Database
from aspora.executor.starter import DurableStarter
from aspora.main.settings import Settings
from aspora.records.executions import Executions
from aspora.records.ids import execution_id
from aspora.records.rows import NewExecution
from aspora.records.state import ExecutionClass
from aspora.skills.archive import ArchiveFile, write_archive
from bench.machine import print_machine
from bench.report import because, percentile, show

LEASE_SECONDS, ROUNDS = 10, 5
START_SECONDS, WAIT_SECONDS, READ_SECONDS = 120.0, 120.0, 0.02
CLASSES: tuple[ExecutionClass, ...] = ("inline", "durable")
HANDLER = b"""import time
from aspora_sdk import SkillResult, skill_handler


@skill_handler
def handler(context):
    time.sleep(25)
    return SkillResult(success=True, message="done")
"""


class RevisionServer:
    """Answers every question with the one revision: what an executor asks of a gateway."""

    def __init__(self, revision: Mapping[str, Any]) -> None:
        self._revision = json.dumps(revision).encode()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Begin; the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            wanted = b"/revisions/" in head.split(b"\r\n", 1)[0]
            body = self._revision if wanted else b'{"items": [], "metadata": {"resourceVersion": "1"}}'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Executor:
    """One executor process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, settings: Settings, *, dsn: str, url: str) -> "Executor":
        """Start it and wait until it takes both classes."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
        config = {"settings": {**plain, "database_url": dsn}, "gateway_url": url, "system_key": "bench"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "aspora.main.child",
            "executor",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(config).encode() + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(START_SECONDS):
            while line := await process.stdout.readline():
                if json.loads(line)["ready"] == "durable":
                    return cls(process)
        raise RuntimeError("an executor ended before it was ready; its messages stand above")

    @property
    def pid(self) -> int:
        """Its process id, as the nodes table has it."""
        return self._process.pid

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class Bench:
    """Executions of one skill, and what owns them."""

    def __init__(self, database: Database, revision: str) -> None:
        self._database = database
        self._executions = Executions(database)
        self._revision = revision

    async def post(self, execution_class: ExecutionClass) -> str:
        """Record one execution."""
        now = datetime.now(UTC)
        new = NewExecution(
            id=execution_id(now, entropy=secrets.randbits(32)),
            domain="bench",
            skill="waits",
            revision=self._revision,
            environment="production",
            execution_class=execution_class,
            input={"userMessage": "", "metadata": {}},
            input_ref=None,
            caller="bench",
            trigger={"type": "api"},
            created_at=now,
            deadline=now + timedelta(seconds=300),
            stages={},
        )

        async def work(connection: Connection) -> None:
            await self._executions.insert(connection, new)
            if execution_class == "durable":
                await DurableStarter().start(connection, new.id)

        await self._database.run_transaction(work)
        return new.id

    async def owner(self, execution: str, *, attempt: int) -> int:
        """Process id of the node that owns that attempt, as soon as there is one."""
        row = await self._executions.get(execution)
        for _ in range(round(WAIT_SECONDS / READ_SECONDS)):
            if row["attempt"] >= attempt and row["state"] == "Running":
                break
            await asyncio.sleep(READ_SECONDS)
            row = await self._executions.get(execution)
        async with self._database.connection() as connection:
            cursor = await connection.execute("select pid from nodes where id = %s", (row["owner_node"],))
            found = await cursor.fetchone()
        assert found is not None
        return found["pid"]

    async def cancel(self, execution: str) -> None:
        """Let nothing of it be left for the next round."""
        await self._executions.request_cancel(execution, domain="bench", caller="bench")


def _skill() -> tuple[bytes, dict[str, Any]]:
    """The packed folder, and its revision."""
    text = b"---\nname: waits\ndescription: Waits.\n---\nWait.\n"
    packed = write_archive([ArchiveFile("SKILL.md", text), ArchiveFile("code/handler.py", HANDLER)])
    spec = {
        "skillMd": {"name": "waits", "description": "Waits."},
        "artifact": {"digest": packed.digest, "sizeBytes": len(packed.data), "fileCount": 2},
        "runtime": {"language": "python", "entryPoint": "code/handler.py", "timeoutSeconds": 30},
    }
    revision = {
        "apiVersion": "aspora.dev/v1",
        "kind": "Revision",
        "metadata": {"name": revision_name("waits", packed.digest), "domain": "bench"},
        "spec": {"skill": "waits", "digest": packed.digest, "version": "1", "skillSpec": spec},
    }
    return packed.data, revision


async def _measure(settings: Settings, *, dsn: str, rounds: int) -> dict[str, list[float]]:
    """Seconds from the kill to the next attempt, by class."""
    packed, revision = _skill()
    await open_artifacts(settings.artifacts_dir).put(packed)
    taken: dict[str, list[float]] = {name: [] for name in CLASSES}
    async with AsyncExitStack() as held:
        database = await held.enter_async_context(await Database.open(dsn, max_size=4))
        await migrate(database)
        server = RevisionServer(revision)
        url = await server.start()
        held.push_async_callback(server.close)
        alive: dict[int, Executor] = {}

        async def start() -> None:
            executor = await Executor.start(settings, dsn=dsn, url=url)
            held.push_async_callback(executor.kill)
            alive[executor.pid] = executor

        bench = Bench(database, revision["metadata"]["name"])
        await start()
        for n in range(rounds):
            await start()
            for execution_class in CLASSES:
                if len(alive) < 2:
                    await start()
                name = await bench.post(execution_class)
                pid = await bench.owner(name, attempt=1)
                await asyncio.sleep(LEASE_SECONDS / 3 * n / rounds)
                began = asyncio.get_running_loop().time()
                await alive.pop(pid).kill()
                await bench.owner(name, attempt=2)
                taken[execution_class].append(asyncio.get_running_loop().time() - began)
                await bench.cancel(name)
    return taken


def measure_recovery(data_dir: Path | None = None, *, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Measure and print; `data_dir` is that of an Aspora that is down, None makes one and removes it."""
    if data_dir is None:
        folder = Path(tempfile.mkdtemp(prefix="aspora-recovery-"))
        folder.chmod(0o711)
        try:
            return measure_recovery(folder / "data", rounds=rounds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    settings = Settings(data_dir=data_dir, node_lease_seconds=LEASE_SECONDS, sandbox_warm=0, log_level="error")
    server = EmbeddedPostgres(data_dir)
    server.start()
    try:
        taken = asyncio.run(_measure(settings, dsn=server.dsn, rounds=rounds))
    finally:
        server.stop()
    for execution_class, seconds in taken.items():
        value = f"p50 {percentile(seconds, 0.5):.1f} s, max {max(seconds):.1f} s"
        method = f"{rounds} kill -9 of one of two executors, to the next attempt; lease {LEASE_SECONDS} s"
        show(f"recovery begins, {execution_class}", value, f"≤ {2 * LEASE_SECONDS} s", method)
    because(f"the lease of {LEASE_SECONDS} s, less the time since its renewal, then up to 3 s until the next look")
    return taken


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    print_machine(Path(tempfile.gettempdir()))
    measure_recovery(rounds=args.rounds)


if __name__ == "__main__":
    main()
