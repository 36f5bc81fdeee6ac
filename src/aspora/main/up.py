"""`aspora up`: all of Aspora in one process tree on one machine.

This process supervises: it holds the data directory's lock, the embedded PostgreSQL and the listening socket, and keeps
a gateway (with the controllers) and an executor running. Whatever ends it, its children end too.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aspora.access.keys import mint_key
from aspora.cli import exit_codes
from aspora.cli.output import Output
from aspora.cli.rest import place_option
from aspora.db.data_dir import DataDirLock, exposure, lock_is_held, prepare_data_dir
from aspora.db.embedded import EmbeddedPostgres
from aspora.kit.supervise import uninterrupted, wait_for_event
from aspora.main.before_start import check_before_start
from aspora.main.children import Child, ChildFailed, ChildSpec, keep_running
from aspora.main.endpoint import KEY_FILE_NAME, Endpoint, remove_endpoint, write_endpoint, write_private
from aspora.main.joining import publish_database, withdraw_database
from aspora.main.listening import bind, bind_internal, internal_url_of, url_of
from aspora.main.process_control import keep_memory_private
from aspora.main.settings import Settings, place_of
from aspora.main.version import aspora_version
from aspora.main.wiring import set_up_logging
from aspora.meta.errors import Unavailable
from aspora.telemetry.logs import get_logger

READY_TIMEOUT_SECONDS = 90
POSTGRES_CHECK_SECONDS = 1.0

Tell = Callable[[str], None]
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """An Aspora that is up.

    Attributes:
        url: Where the gateway answers.
        admin_key_path: The file with the administrator's key.
        started_in_seconds: From the call to ready.
    """

    url: str
    admin_key_path: Path
    started_in_seconds: float


def child_config(settings: Settings, *, dsn: str, **more: Any) -> dict[str, Any]:
    """What a child reads from standard input."""
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
    # No load balancer stands before the one gateway of a process tree.
    return {"settings": {**plain, "database_url": dsn, "drain_seconds": 0}, **more}


def _admin_key(data_dir: Path) -> str:
    """The administrator's key, made on first use; readable by the owner of the data directory alone."""
    path = data_dir / KEY_FILE_NAME
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    key = mint_key().text
    write_private(path, key + "\n")
    return key


@asynccontextmanager
async def _database(
    settings: Settings, data_dir: Path, tell: Tell
) -> AsyncGenerator[tuple[str, EmbeddedPostgres | None]]:
    """The database's DSN: the configured one, or an embedded server that lives as long as this context."""
    if settings.database_url:
        with DataDirLock(data_dir):
            yield settings.database_url, None
        return
    async with embedded_database(data_dir, tell) as server:
        yield server.dsn, server


@asynccontextmanager
async def embedded_database(data_dir: Path, tell: Tell) -> AsyncGenerator[EmbeddedPostgres]:
    """An embedded server that lives as long as this context, and can be found through the data directory."""
    server = EmbeddedPostgres(data_dir, progress=tell)
    try:
        await uninterrupted(asyncio.to_thread(server.start))
        publish_database(data_dir, server.dsn)
        yield server
    finally:
        withdraw_database(data_dir)
        await uninterrupted(asyncio.to_thread(server.stop))


async def keep_database(server: EmbeddedPostgres, stop: asyncio.Event, tell: Tell) -> None:
    """Start the embedded server again whenever it died."""
    while not await wait_for_event(stop, POSTGRES_CHECK_SECONDS):
        try:
            if await uninterrupted(asyncio.to_thread(server.ensure_running)):
                tell("the database had stopped and was started again")
        except Unavailable as e:
            tell(f"the database does not start: {e.message}")


@asynccontextmanager
async def _children(
    settings: Settings, *, dsn: str, bound: socket.socket, internal: socket.socket | None, admin_key: str
) -> AsyncGenerator[tuple[Child, Child]]:
    system_key = mint_key().text
    url = internal_url_of(internal) if internal else url_of(bound, settings)
    fds = [s.fileno() for s in (bound, internal) if s is not None]
    gateway = Child(
        ChildSpec(
            "gateway",
            child_config(settings, dsn=dsn, socket_fds=fds, admin_key=admin_key, system_key=system_key),
            pass_fds=tuple(fds),
        ),
        stop_grace_seconds=settings.stop_grace_seconds + 2,
    )
    executor = Child(
        ChildSpec("executor", child_config(settings, dsn=dsn, gateway_url=url, system_key=system_key)),
        stop_grace_seconds=settings.stop_grace_seconds + 5,
    )
    async with keep_running(gateway, executor):
        yield gateway, executor


def _take_over(folder: Path, tell: Tell) -> Path:
    """The data directory, ours and without what an Aspora that was killed left behind."""
    data_dir = prepare_data_dir(folder, uid=os.geteuid())
    if exposed := exposure(data_dir):
        tell(exposed)
    with DataDirLock(data_dir):
        # Nobody may act on its process id once a new one has the lock.
        remove_endpoint(data_dir)
    return data_dir


@asynccontextmanager
async def running(settings: Settings, *, tell: Tell, stop: asyncio.Event) -> AsyncGenerator[Running]:
    """Start everything, hand over when it is ready, and stop everything at the end, in the right order.

    Raises:
        StatusError: Something can't be used; the message names it and says what would do.
        ChildFailed: A process ended before it was ready.
    """
    started = time.monotonic()
    keep_memory_private()
    await check_before_start(settings)
    if lock_is_held(settings.data_dir):
        DataDirLock(settings.data_dir).acquire()  # It says who holds it; better than that their port is taken.
    with bind(settings) as bound, bind_internal(settings) or contextlib.nullcontext() as internal:
        _log.info("starting", version=aspora_version(), pid=os.getpid())
        # Only now is anything made: a start that was refused leaves nothing behind.
        data_dir = await asyncio.to_thread(_take_over, settings.data_dir, tell)
        async with _database(settings, data_dir, tell) as (dsn, server):
            admin_key = _admin_key(data_dir)
            async with _children(settings, dsn=dsn, bound=bound, internal=internal, admin_key=admin_key) as (
                gateway,
                executor,
            ):
                await gateway.wait_ready("gateway", timeout_seconds=READY_TIMEOUT_SECONDS)
                for what in ("executor", "durable"):
                    await executor.wait_ready(what, timeout_seconds=READY_TIMEOUT_SECONDS)
                now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                write_endpoint(data_dir, Endpoint(url_of(bound, settings), os.getpid(), aspora_version(), now))
                keeper = asyncio.create_task(keep_database(server, stop, tell)) if server else None
                try:
                    yield Running(url_of(bound, settings), data_dir / KEY_FILE_NAME, time.monotonic() - started)
                finally:
                    remove_endpoint(data_dir)
                    if keeper is not None:
                        keeper.cancel()
                        await asyncio.gather(keeper, return_exceptions=True)


def stop_on_signals(stop: asyncio.Event, *, tell: Tell) -> None:
    """Set the event on SIGTERM, SIGINT and SIGHUP and say so once; a second signal changes nothing."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if not stop.is_set():
            tell("stopping")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)


async def give_up_when_stopped(work: Coroutine[Any, Any, int], *, stop: asyncio.Event, ready: asyncio.Event) -> int:
    """Run work; when `stop` is set before `ready`, cancel it, so that a start can be broken off at any point."""
    task = asyncio.create_task(work)
    stopper = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopper}, return_when=asyncio.FIRST_COMPLETED)
    stopper.cancel()
    if not ready.is_set():
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return exit_codes.INTERRUPTED


async def _serve(settings: Settings, out: Output, *, where: str, stop: asyncio.Event, ready: asyncio.Event) -> int:
    async with running(settings, tell=out.note, stop=stop) as up_now:
        ready.set()
        out.line(f"Aspora {aspora_version()} is ready at {up_now.url} (in {up_now.started_in_seconds:.1f} s)")
        out.line(f"  data directory  {settings.data_dir}")
        out.line(f"  admin key       {up_now.admin_key_path}")
        out.line(f"  next            aspora apply -f skills/{where}   (Ctrl-C stops Aspora)")
        out.stdout.flush()
        await stop.wait()
    out.note("stopped")
    return exit_codes.OK


async def _up(settings: Settings, out: Output, *, where: str) -> int:
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, tell=out.note)
    try:
        work = _serve(settings, out, where=where, stop=stop, ready=ready)
        return await give_up_when_stopped(work, stop=stop, ready=ready)
    except ChildFailed as e:
        out.error(f"{e}; its messages stand above; check the installation: aspora doctor{place_of(settings)}")
        return exit_codes.FAILED


def up(settings: Settings, out: Output, *, overrides: Mapping[str, Any]) -> int:
    """Run in the foreground until a signal; returns the exit code."""
    set_up_logging(settings)
    return asyncio.run(_up(settings, out, where=place_option(overrides)))
