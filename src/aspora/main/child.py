"""`python -m aspora.main.child ROLE`: one process of an Aspora, configured by one JSON line on standard input."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from aspora.db.migrate import migrate
from aspora.db.pool import Database
from aspora.kit.registry import load_object
from aspora.kit.supervise import uninterrupted
from aspora.main.process_control import end_with_parent, keep_memory_private
from aspora.main.wiring import read_config, set_up_logging
from aspora.meta.errors import StatusError
from aspora.telemetry.logs import get_logger

ROLES = {
    "gateway": "aspora.main.gateway_process:serve",
    "executor": "aspora.main.executor_process:serve",
    "controllers": "aspora.main.controllers_process:serve",
}
EXIT_LEASE_LOST = 75
_log = get_logger(__name__)


def say_ready(what: str) -> None:
    """Tell the parent that something is ready, and let the collector leave alone what has been imported by now.

    It is a hundred megabytes that live as long as the process; going through them holds up every request meanwhile.
    """
    gc.freeze()
    sys.stdout.write(json.dumps({"ready": what}) + "\n")
    sys.stdout.flush()


def _stop_when_told(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def on_stdin() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, on_stdin)


async def open_database(dsn: str, *, max_connections: int) -> Database:
    """A pool over a database whose schema is as new as this code; whoever comes first migrates."""
    database = await Database.open(dsn, min_size=2, max_size=max_connections)
    try:
        await migrate(database)
    except BaseException:
        await uninterrupted(database.close())
        raise
    return database


async def _run(role: str, line: str) -> None:
    settings, config = read_config(line)
    set_up_logging(settings)
    stop = asyncio.Event()
    _stop_when_told(stop)
    serve: Callable[..., Any] = load_object(ROLES[role])
    await serve(settings, config, stop, say_ready)


def main() -> int:
    """Run the role named on the command line; the exit code is 0 only after a stop that was asked for."""
    end_with_parent()
    keep_memory_private()
    role, line = sys.argv[1], sys.stdin.buffer.raw.readline().decode()  # type: ignore[attr-defined]
    if not line:
        return 1
    try:
        uvloop.run(_run(role, line))
    except StatusError as e:
        _log.error("process ends", role=role, reason=e.reason, why=e.message)
        sys.stdout.write(json.dumps({"failed": e.reason, "why": e.message}) + "\n")
        return 1
    finally:
        gc.freeze()  # Everything is closed: going through all that was imported once more only delays the end.
    return 0


if __name__ == "__main__":
    sys.exit(main())
