"""Endpoints for those who run Aspora: `/healthz`, `/readyz`, `/version`, `/metrics`."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from aspora.access.authorize import authorize
from aspora.gateway.contract import Answer, Contract, ContractRoute, Schema
from aspora.gateway.http import caller_of, json_response, query_of
from aspora.meta.errors import FieldError, StatusError, Unavailable
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import CONTENT_TYPE, Metrics

log = get_logger(__name__)

CHECK_DEADLINE_SECONDS = 2.0

_TEXT: Schema = {"type": "string"}
_SCHEMAS: Mapping[str, Schema] = {
    "Health": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
    "Readiness": {
        "type": "object",
        "required": ["status", "checks"],
        "properties": {
            "status": {"const": "ok"},
            "checks": {"type": "object", "additionalProperties": {"const": "ok"}},
        },
    },
    "Version": {
        "type": "object",
        "required": ["version", "python"],
        "properties": {"version": _TEXT, "python": _TEXT},
    },
}


def probe_routes(
    *, version: str, checks: Mapping[str, Callable[[], Awaitable[None]]], metrics: Metrics
) -> list[BaseRoute]:
    """The routes; `checks` decide about `/readyz`."""

    async def healthz(request: Request) -> Response:
        """The process answers."""
        query_of(request, ())
        return json_response({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """Everything that is needed to serve works: 200, or 503 with the name of each check that fails.

        Anybody may ask, so what is wrong (hosts, users, errors) goes to the log alone.
        """
        query_of(request, ())
        outcomes = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
        failing = [name for name, passed in zip(checks, outcomes, strict=True) if not passed]
        if failing:
            details = [FieldError(name, "fails; the gateway's log says why", "NotReady") for name in failing]
            raise Unavailable(f"not ready: {', '.join(failing)}; the gateway's log says why", details=details)
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
        ContractRoute("/healthz", healthz, _answers("It answers.", "Health")),
        ContractRoute("/readyz", readyz, _answers("All works.", "Readiness")),
        ContractRoute("/version", get_version, _answers("The version.", "Version")),
        ContractRoute("/metrics", get_metrics, Contract(answers={200: Answer("All of them.", "", "text/plain")})),
    ]


def _answers(description: str, schema: str) -> Contract:
    return Contract(answers={200: Answer(description, schema)}, schemas=_SCHEMAS)


async def _passes(name: str, check: Callable[[], Awaitable[None]]) -> bool:
    """Whether the check passes; why not stands in the log."""
    try:
        async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
            await check()
    except TimeoutError:
        log.warning("ready check failed", check=name, reason=f"no answer within {CHECK_DEADLINE_SECONDS:g} s")
    except StatusError as e:
        log.warning("ready check failed", check=name, reason=e.message)
    except Exception as e:  # noqa: BLE001 - a probe reports whatever is wrong
        log.error("ready check failed", error=e, check=name)
    else:
        return True
    return False
