"""The health of skills as numbers: one aggregate for all of them, asked at most every few seconds."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from aspora.access.authorize import authorize, domains_allowed
from aspora.access.interface import ObjectReader
from aspora.gateway.contract import Answer, Contract, ContractRoute, Schema, reference
from aspora.gateway.http import caller_of, integer_in, json_response, query_of
from aspora.gateway.refusals import refusals
from aspora.kit.clock import Clock
from aspora.meta.errors import API_VERSION, Forbidden, NotFound
from aspora.records.health import Healths, SkillHealth

DEFAULT_WINDOW_SECONDS: Final = 3600
MAX_WINDOW_SECONDS: Final = 7 * 86_400
KEEP_SECONDS: Final = 3.0
PLURAL: Final = "executions"
"""Whoever may list a domain's executions may see what they add up to."""

Numbers = Mapping[tuple[str, str], SkillHealth]

_COUNT: Schema = {"type": "integer", "minimum": 0}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_NAMES: Schema = {"type": "array", "items": {"type": "string"}}
_WINDOW: Mapping[str, Schema] = {
    "windowSeconds": {
        "type": "integer",
        "minimum": 60,
        "maximum": MAX_WINDOW_SECONDS,
        "default": DEFAULT_WINDOW_SECONDS,
        "description": "Count the executions that ended within so many seconds.",
    }
}
_SCHEMAS: Mapping[str, Schema] = {
    "SkillHealth": {
        "type": "object",
        "required": ["metadata", "windowSeconds", "succeeded", "failed", "cancelled", "costMicroUsd"],
        "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}, "domain": {"type": "string"}}},
            "windowSeconds": _COUNT,
            "succeeded": _COUNT,
            "failed": _COUNT,
            "cancelled": _COUNT,
            "p50Ms": _COUNT,
            "p95Ms": _COUNT,
            "costMicroUsd": _COUNT,
            "lastFailedAt": _INSTANT,
        },
    },
    "SkillHealthList": {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": reference("SkillHealth")}},
    },
    "RevisionsInUse": {"type": "object", "required": ["revisions"], "properties": {"revisions": _NAMES}},
}
_ONE = Contract(query=_WINDOW, answers={200: Answer("The numbers.", "SkillHealth")}, schemas=_SCHEMAS)
_ALL = Contract(
    query=_WINDOW,
    answers={200: Answer("Each skill that had an execution end in the window.", "SkillHealthList")},
    schemas=_SCHEMAS,
)
_IN_USE = Contract(answers={200: Answer("Their names.", "RevisionsInUse")}, schemas=_SCHEMAS)


class HealthDoor:
    """Answers with numbers, kept for `KEEP_SECONDS` a window."""

    def __init__(self, healths: Healths, reader: ObjectReader, clock: Clock) -> None:
        self._healths = healths
        self._reader = reader
        self._clock = clock
        self._kept: dict[int, tuple[float, Numbers]] = {}
        self._counting = asyncio.Lock()

    async def list_health(self, request: Request) -> Response:
        """How the executions of skills went lately, by skill."""
        window = _window(request)
        allowed = domains_allowed(caller_of(request), "list", PLURAL)
        if allowed is not None and not allowed - {""}:
            raise Forbidden(
                f"{caller_of(request).name!r} may not list {PLURAL} in any domain; bind a role that allows it to them"
            )
        numbers = await self._numbers(window)
        items = [
            health.to_wire(window_seconds=window)
            for (domain, _), health in sorted(numbers.items())
            if allowed is None or domain in allowed
        ]
        return json_response({"apiVersion": API_VERSION, "kind": "SkillHealthList", "items": items})

    async def get_health(self, request: Request) -> Response:
        """How the executions of one skill went lately."""
        window = _window(request)
        domain, skill = await self._skill(request)
        numbers = await self._numbers(window)
        health = numbers.get((domain, skill)) or SkillHealth(domain=domain, skill=skill)
        return json_response(health.to_wire(window_seconds=window))

    async def revisions_in_use(self, request: Request) -> Response:
        """The revisions of a skill that have executions which are not over."""
        query_of(request, ())
        domain, skill = await self._skill(request)
        return json_response({"revisions": await self._healths.revisions_in_use(domain, skill)})

    async def _skill(self, request: Request) -> tuple[str, str]:
        domain, skill = request.path_params["domain"], request.path_params["skill"]
        authorize(caller_of(request), "list", PLURAL, domain)
        if await self._reader.get("Skill", skill, domain=domain) is None:
            raise NotFound(f"skill {skill[:80]!r} not found in domain {domain[:80]!r}; 'aspora get skills' lists them")
        return domain, skill

    async def _numbers(self, window_seconds: int) -> Numbers:
        """Counted at most every `KEEP_SECONDS`, however many ask at once."""
        async with self._counting:
            now = self._clock.monotonic()
            self._kept = {w: kept for w, kept in self._kept.items() if now - kept[0] < KEEP_SECONDS}
            if window_seconds not in self._kept:
                since = self._clock.now() - timedelta(seconds=window_seconds)
                self._kept[window_seconds] = (now, await self._healths.since(since))
            return self._kept[window_seconds][1]


def _window(request: Request) -> int:
    query = query_of(request, ("windowSeconds",))
    return integer_in(query, "windowSeconds", default=DEFAULT_WINDOW_SECONDS, minimum=60, maximum=MAX_WINDOW_SECONDS)


def health_routes(door: HealthDoor) -> list[BaseRoute]:
    """The routes; they come before the generic object routes, whose patterns match the first."""
    of_skill = "/api/v1/domains/{domain}/skills/{skill}"
    routes = [
        ContractRoute("/api/v1/health/skills", door.list_health, _ALL),
        ContractRoute(f"{of_skill}/health", door.get_health, _ONE),
        ContractRoute(f"{of_skill}/revisions-in-use", door.revisions_in_use, _IN_USE),
    ]
    return [*routes, *refusals(routes)]
