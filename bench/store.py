"""`make bench-store`: how quick the store and its watches are, and what bounds each figure."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aspora.db.embedded import EmbeddedPostgres
from bench.__main__ import Installation, measure_idle
from bench.machine import print_machine
from bench.recovery import measure_recovery
from bench.store_lists import measure_lists
from bench.store_watch import measure_watch
from bench.store_writes import measure_writes


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running Aspora: where it answers, by which key, and its supervisor."""

    url: str
    key: str
    pid: int


@contextmanager
def aspora_over(server: EmbeddedPostgres, folder: Path) -> Generator[Gateway]:
    """An Aspora on the server's database, with a data directory of its own."""
    data_dir = folder / "aspora"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")}
    environ |= {"ASPORA_DATA_DIR": str(data_dir), "ASPORA_PORT": "0", "ASPORA_DATABASE_URL": server.dsn}
    command = [sys.executable, "-m", "aspora"]
    subprocess.run([*command, "up", "--detach"], env=environ, check=True, capture_output=True)
    try:
        found = json.loads((data_dir / "endpoint.json").read_text())
        yield Gateway(found["url"], (data_dir / "admin.key").read_text().strip(), found["pid"])
    finally:
        subprocess.run([*command, "down"], env=environ, check=False, capture_output=True)


def watch(server: EmbeddedPostgres, folder: Path) -> None:
    """Watches over HTTP."""
    with aspora_over(server, folder) as gateway:
        asyncio.run(measure_watch(gateway.url, gateway.key, gateway.pid))


def lists(server: EmbeddedPostgres, folder: Path) -> None:
    """Lists and informers over HTTP."""
    with aspora_over(server, folder) as gateway:
        asyncio.run(measure_lists(gateway.url, gateway.key, server.dsn))


def writes(server: EmbeddedPostgres, folder: Path) -> None:
    """Writes at the store's interface."""
    measure_writes(server)


def recovery(server: EmbeddedPostgres, folder: Path) -> None:
    """Work of a dead node; on an Aspora and a PostgreSQL of its own."""
    measure_recovery()


def idle(server: EmbeddedPostgres, folder: Path) -> None:
    """What an Aspora uses that has nothing to do; likewise."""
    (folder / "idle").mkdir(mode=0o711)
    aspora = Installation(folder / "idle", {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")})
    try:
        aspora.start()
        measure_idle(aspora)
    finally:
        aspora.stop()


PARTS = {"writes": writes, "watch": watch, "recovery": recovery, "idle": idle, "lists": lists}
"""In this order, since lists leave very many objects behind."""


def main() -> None:
    """Print all figures, or those of the parts named on the command line; nothing is left behind."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise SystemExit(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")
    folder = Path(tempfile.mkdtemp(prefix="aspora-bench-"))
    folder.chmod(0o711)
    try:
        print_machine(folder)
        with EmbeddedPostgres(folder / "data") as server:
            for name in wanted:
                PARTS[name](server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
