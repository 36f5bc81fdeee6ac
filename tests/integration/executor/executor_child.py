"""An executor process for tests that kill it: `executor_child.py CONFIG.json`; prints a line when ready."""

import asyncio
import json
import signal
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aspora.artifacts import ArtifactCache, digest_of, open_artifacts
from aspora.client.interface import Wire
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.executor.connectors import InstalledConnectors
from aspora.executor.dead_man import NoDeadMan, dead_man
from aspora.executor.process import CHANNELS, ExecutorConfig, ExecutorParts, run_executor
from aspora.executor.work import ModelTerms, Work
from aspora.kit.clock import SystemClock
from aspora.kit.supervise import run_loops
from aspora.main.executor_process import SWITCH_INTERVAL_SECONDS
from aspora.main.spending import EXECUTOR_TERMS, open_escrow, payer_of, skill_choice
from aspora.meta.errors import NotFound
from aspora.models.attempts import Attempts
from aspora.models.catalog import Catalog
from aspora.models.client import HttpModelClient
from aspora.models.defaults import default_objects, shipped_routing
from aspora.models.limits import PlatformLimits, charge_of
from aspora.sandbox.process.driver import ProcessDriver
from aspora.skills.archive import ArchiveFile, unpack, write_archive
from aspora.telemetry.logs import configure_logging

MAX_CONNECTIONS = 24
TRUE_TIME = time.time


class TurnedClock(SystemClock):
    """A machine whose wall clock is off by as many seconds as a file says; the monotonic one is right.

    `time.time` tells the same to everybody else in the process: the workflow engine, pools, logs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        time.time = lambda: TRUE_TIME() + self._offset()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def _offset(self) -> float:
        return float(self._path.read_text())


class FileRevisions:
    """Revisions from a JSON file, by domain and name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self, domain: str, name: str) -> Wire:
        found: Wire | None = json.loads(self._path.read_text()).get(f"{domain}/{name}")
        if found is None:
            raise NotFound(f"no revision {name!r}")
        return found


def digest_of_folder(folder: Path) -> str:
    files = [
        ArchiveFile(p.relative_to(folder).as_posix(), p.read_bytes(), executable=bool(p.stat().st_mode & 0o100))
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    ]
    return digest_of(write_archive(files).data)


def terms(work: Work) -> ModelTerms:
    budget = work.plan.spec.model.cost_budget
    choice = skill_choice(work, shipped_routing())
    return ModelTerms(choice.models, charge_of(payer_of(work), platform=PlatformLimits(), budget=budget))


async def main(config: dict[str, Any]) -> None:
    configure_logging(level="INFO", form="console")
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    turned, stop, base = config["turned_clock"], asyncio.Event(), Path(config["base"])
    clock = TurnedClock(Path(turned)) if turned else SystemClock()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kinds = {kind: [o for o in default_objects() if o["kind"] == kind] for kind in ("Model", "Provider")}
    catalog = Catalog(kinds["Model"], kinds["Provider"], environment=config.get("environment", {}))
    store = open_artifacts(base / "artifacts")
    async with AsyncExitStack() as held:
        database = await held.enter_async_context(
            await Database.open(
                config["dsn"], max_size=config["connections"] or min(config["slots"] + 4, MAX_CONNECTIONS)
            )
        )
        lease_database = await held.enter_async_context(await Database.open(config["dsn"], max_size=1))
        runtime_dir = Path(config["runtime_dir"])
        driver = ProcessDriver(work_dir=base / "work", runtime_dir=runtime_dir, max_concurrency=2 * config["slots"])
        held.push_async_callback(driver.close)
        ledger = await held.enter_async_context(open_escrow(database, name="test", clock=clock, terms=EXECUTOR_TERMS))
        attempts = Attempts(lambda: catalog, ledger=ledger, clock=clock)
        held.push_async_callback(attempts.close)
        connectors = InstalledConnectors()
        held.push_async_callback(connectors.close)
        listener = Listener(config["dsn"], CHANNELS)
        support_stop = asyncio.Event()
        support = asyncio.create_task(run_loops({"listener": listener.run}, support_stop, grace_seconds=1))
        parts = ExecutorParts(
            database=database,
            lease_database=lease_database,
            listener=listener,
            revisions=FileRevisions(base / "revisions.json"),
            artifacts=ArtifactCache(
                store, folder=base / "cache", unpack=unpack, digest_of_folder=digest_of_folder, clock=clock
            ),
            blobs=store,
            driver=driver,
            models=HttpModelClient(attempts),
            terms_for=terms,
            connectors=connectors,
            dead_man=dead_man() if config["dies"] else NoDeadMan(),
            clock=clock,
        )
        behaviour = ExecutorConfig(
            dsn=config["dsn"],
            version="test",
            slots=config["slots"],
            lease_seconds=config["lease_seconds"],
            grace_seconds=config["grace_seconds"],
        )
        try:
            await run_executor(behaviour, parts, stop, on_ready=lambda what: print(what, flush=True))
        finally:
            support_stop.set()
            await support


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
