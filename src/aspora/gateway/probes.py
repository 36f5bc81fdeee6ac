"""Endpoints for those who run Aspora: `/healthz`, `/readyz`, `/version`, `/metrics`."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aspora.access.authorize import authorize
from aspora.gateway.http import caller_of, json_response, query_of
from aspora.meta.errors import FieldError, StatusError, Unavailable
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import CONTENT_TYPE, Metrics

log = get_logger(__name__)

CHECK_DEADLINE_SECONDS = 2.0


def probe_routes(
    *, version: str, checks: Mapping[str, Callable[[], Awaitable[None]]], metrics: Metrics
) -> list[BaseRoute]:
    """The routes; `checks` decide about `/readyz`."""

    async def healthz(request: Request) -> Response:
        """The process answers."""
        query_of(request, ())
        return json_response({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """Everything that is needed to serve works: 200, or 503 with each check that fails among the details."""
        query_of(request, ())
        outcomes = await asyncio.gather(*(_outcome(name, check) for name, check in checks.items()))
        problems = [FieldError(name, problem, "NotReady") for name, problem in outcomes if problem]
        if problems:
            raise Unavailable("not ready: " + "; ".join(str(p) for p in problems), details=problems)
        return json_response({"status": "ok", "checks": dict.fromkeys(checks, "ok")})

    async def get_version(request: Request) -> Response:
        """Which Aspora this is."""
        query_of(request, ())
        return json_response({"version": version, "python": platform.python_version()})

    async def get_metrics(request: Request) -> Response:
        """All metrics in Prometheus' text form; needs `get` on `metrics`."""
        authorize(caller_of(request), "get", "metrics")
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/version", get_version),
        Route("/metrics", get_metrics),
    ]


async def _outcome(name: str, check: Callable[[], Awaitable[None]]) -> tuple[str, str]:
    """The check's name and its problem, "" when there is none."""
    try:
        async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
            await check()
    except TimeoutError:
        return name, f"no answer within {CHECK_DEADLINE_SECONDS:g} s"
    except StatusError as e:
        return name, e.message
    except Exception as e:  # noqa: BLE001 - a probe reports whatever is wrong; the log has the rest
        log.error("ready check failed", error=e, check=name)
        return name, f"failed with {type(e).__name__}"
    return name, ""
