"""`/metrics`, `/healthz` and `/readyz` of a process that serves nothing else; off unless a port is set."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from aspora.gateway.connection import BoundedConnection
from aspora.gateway.http import error_response, json_response
from aspora.kit.supervise import uninterrupted, wait_for_event, wait_for_stop
from aspora.main.listening import bind_on
from aspora.meta.errors import FieldError, StatusError, Unavailable
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import CONTENT_TYPE, Metrics

CHECK_SECONDS = 2.0
_TICK_SECONDS: Final = 1.0
_WAY_OUT: Final = "choose one with --metrics-port or ASPORA_METRICS_PORT (0 for none)"
_log = get_logger(__name__)

Check = Callable[[], Awaitable[object]]


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling (the process has one stop, and cleans up after it), and without waking up
    ten times a second to see whether it is to end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._exit = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Set it, and the server ends."""
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._exit.set()
        else:
            self._exit.clear()

    async def main_loop(self) -> None:
        """Keep the `Date` header true until told to end."""
        while not await self.on_tick(0):
            await wait_for_event(self._exit, _TICK_SECONDS)

    @contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        yield


@asynccontextmanager
async def serving(server: QuietServer, sockets: Sequence[socket.socket]) -> AsyncGenerator["asyncio.Task[None]"]:
    """Serve beside the block, on sockets that the server then closes; at the block's end it finishes what came.

    Raises:
        Exception: What the server raised.
    """
    task = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        yield task
    finally:
        server.should_exit = True
        await uninterrupted(task)


class MetricsDoor:
    """A small HTTP server beside a process's work. Nothing on it is secret; keep it on a private address all the same.

    Its port is taken when it is made, so that a process whose metrics nobody could read does not start; `close` it.

    Args:
        metrics: What `/metrics` shows.
        host: Where to listen.
        port: 0 for no door at all.

    Raises:
        Conflict: The port is taken.
        Invalid: The address is not one of this machine.
    """

    def __init__(self, metrics: Metrics, *, host: str, port: int) -> None:
        self._metrics = metrics
        self._checks: dict[str, Check] = {}
        self._bound: socket.socket | None = None
        if port:
            self._bound = bind_on(host, port, host_setting="ASPORA_METRICS_HOST", way_out=_WAY_OUT)

    def close(self) -> None:
        """Give the port back."""
        if self._bound is not None:
            self._bound.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_check(self, name: str, check: Check) -> None:
        """`/readyz` fails when `check` raises; it fails too while no check has been added, since nothing works yet."""
        self._checks[name] = check

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        if self._bound is None:
            await stop.wait()
            return
        server = QuietServer(
            uvicorn.Config(
                self._app(),
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        # The server closes the socket it was given; should it fail, the next one gets another.
        async with serving(server, [self._bound.dup()]) as task:
            await wait_for_stop(stop, task)

    def _app(self) -> Router:
        async def show_metrics(_: Request) -> Response:
            return Response(self._metrics.render(), media_type=CONTENT_TYPE)

        async def healthz(_: Request) -> Response:
            return json_response({"status": "ok"})

        async def readyz(_: Request) -> Response:
            failing = [name for name, check in self._checks.items() if not await _passes(name, check)]
            if self._checks and not failing:
                return json_response({"status": "ok", "checks": dict.fromkeys(self._checks, "ok")})
            details = [FieldError(name, "fails; the log says why", "NotReady") for name in failing or ["start"]]
            return error_response(Unavailable("not ready; the log says why", details=details))

        return Router(
            [Route("/metrics", show_metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
            redirect_slashes=False,
        )


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except (StatusError, TimeoutError) as error:
        _log.warning("ready check failed", check=name, cause=type(error).__name__)
        return False
    return True
