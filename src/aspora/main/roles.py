"""`aspora gateway`, `executor`, `controllers`, `database`: one role of an Aspora as a process of its own.

The same parts as in `aspora up`, without its supervisor: systemd, Kubernetes or a person starts and restarts them. A
process ends with 0 only after a stop that was asked for.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from aspora.cli import exit_codes
from aspora.cli.output import Output
from aspora.db.data_dir import exposure, prepare_data_dir
from aspora.kit.registry import load_object
from aspora.main.child import ROLES
from aspora.main.endpoint import KEY_FILE_NAME
from aspora.main.joining import database_url, gateway_url
from aspora.main.listening import bind, check_certificate, check_exposure, url_of
from aspora.main.process_control import keep_memory_private
from aspora.main.secret_key import check_secret_key_file
from aspora.main.settings import Settings
from aspora.main.up import embedded_database, keep_database, stop_on_signals
from aspora.main.version import aspora_version
from aspora.main.wiring import check_sandbox_driver, set_up_logging

_READY: Final = {"gateway": "gateway", "executor": "durable", "controllers": "controllers"}
"""What a role says last, when all of it works."""

Serve = Callable[[Settings, Mapping[str, Any], asyncio.Event, Callable[[str], None]], Awaitable[None]]


def gateway(settings: Settings, out: Output, *, port: int | None = None) -> int:
    """Be a gateway until a signal; the exit code."""
    settings = replace(settings, port=settings.port if port is None else port)
    check_exposure(settings)
    check_certificate(settings)
    check_secret_key_file(settings)
    settings = _placed(settings)
    with bind(settings) as bound:
        config = {"socket_fds": [os.dup(bound.fileno())], "admin_key_path": str(settings.data_dir / KEY_FILE_NAME)}
        return _run("gateway", settings, config, out, where=f" at {url_of(bound, settings)}")


def executor(settings: Settings, out: Output, *, metrics_port: int | None = None) -> int:
    """Be an executor until a signal; the exit code."""
    check_sandbox_driver(settings)
    return _work("executor", settings, out, metrics_port=metrics_port)


def controllers(settings: Settings, out: Output, *, metrics_port: int | None = None) -> int:
    """Be the controllers until a signal; the exit code."""
    return _work("controllers", settings, out, metrics_port=metrics_port)


def database(settings: Settings, out: Output) -> int:
    """Keep the embedded database of the data directory until a signal; the exit code."""
    set_up_logging(settings)
    keep_memory_private()
    return asyncio.run(_keep_database(settings, out))


def _work(role: str, settings: Settings, out: Output, *, metrics_port: int | None) -> int:
    settings = replace(settings, metrics_port=settings.metrics_port if metrics_port is None else metrics_port)
    url = gateway_url(settings)
    return _run(role, _placed(settings), {"gateway_url": url}, out, where=f" for {url}")


def _placed(settings: Settings) -> Settings:
    """With a data directory that is ours and the database that is meant."""
    data_dir = prepare_data_dir(settings.data_dir, uid=os.geteuid())
    return replace(settings, data_dir=data_dir, database_url=database_url(settings))


def _run(role: str, settings: Settings, config: Mapping[str, Any], out: Output, *, where: str) -> int:
    set_up_logging(settings)
    keep_memory_private()
    return asyncio.run(_serve(role, settings, config, out, where=where))


async def _serve(role: str, settings: Settings, config: Mapping[str, Any], out: Output, *, where: str) -> int:
    stop = asyncio.Event()

    def tell(text: str) -> None:
        out.note(text)
        if text == "stopping":
            notify_supervisor("STOPPING=1")

    def say_ready(what: str) -> None:
        if what == _READY[role]:
            out.line(f"Aspora {role} {aspora_version()} is ready{where} (process {os.getpid()})")
            out.stdout.flush()
            notify_supervisor("READY=1")

    stop_on_signals(stop, tell=tell)
    serve: Serve = load_object(ROLES[role])
    await serve(settings, config, stop, say_ready)
    if not stop.is_set():
        raise RuntimeError(f"the {role} ended without being told to")
    out.note("stopped")
    return exit_codes.OK


async def _keep_database(settings: Settings, out: Output) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop, tell=out.note)
    data_dir = await asyncio.to_thread(prepare_data_dir, settings.data_dir, uid=os.geteuid())
    if exposed := exposure(data_dir):
        out.note(exposed)
    async with embedded_database(data_dir, out.note) as server:
        out.line(f"Aspora database is ready with data directory {data_dir} (process {os.getpid()})")
        out.stdout.flush()
        notify_supervisor("READY=1")
        await keep_database(server, stop, out.note)
    out.note("stopped")
    return exit_codes.OK


def notify_supervisor(state: str) -> None:
    """Tell systemd, where it asked to be told; harmless elsewhere.

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), target)
        except OSError:
            return
