"""The handlers of `/v1`."""

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from aspora.access.interface import Caller
from aspora.apis.model_routing import TaskType
from aspora.gateway.framing import SSE
from aspora.gateway.http import allow_body, caller_of, json_response, printable, read_json_object
from aspora.gateway.openai.catalog import ViewCatalog
from aspora.gateway.openai.forms import as_status, list_form, model_form, skill_answer, skill_events
from aspora.gateway.openai.gone import while_present
from aspora.gateway.openai.payers import DOMAIN_HEADER, Payers
from aspora.gateway.openai.requests import (
    MAX_BODY_BYTES,
    ChatRequest,
    embeddings_question,
    read_chat,
    read_embeddings_request,
)
from aspora.gateway.origin import Origin, origin_of
from aspora.gateway.streams import LinesResponse, Streams
from aspora.kit.clock import Clock
from aspora.meta.errors import BadRequest, NotFound
from aspora.meta.names import did_you_mean
from aspora.models.budget_view import BudgetView
from aspora.models.choosing import AUTO, Task, choose, complexity_of, needs_budget
from aspora.models.failures import ModelFailed
from aspora.models.interface import Charge, ModelAttempt
from aspora.models.passage import LiveStream, Passage, Passed
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import MODEL_CALLS, MODEL_COST, MODEL_SECONDS

T = TypeVar("T")

TASK_HEADER: Final = "x-aspora-task"
DEADLINE_SECONDS: Final = 60.0
"""For an answer to begin, with all its attempts."""


class SkillRuns(Protocol):
    """Runs skills for `skill:` models."""

    async def run(self, caller: Caller, domain: str, skill: str, message: str, *, origin: Origin) -> dict[str, Any]:
        """Run one and wait for its end; its Execution in wire form.

        Raises:
            StatusError: It can't be run, has failed, or has not ended in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelHandlers:
    """One method a route, and the parts they call."""

    passage: Passage
    catalog: ViewCatalog
    payers: Payers
    budgets: BudgetView
    skills: SkillRuns
    streams: Streams
    clock: Clock
    metrics: Metrics

    async def chat(self, request: Request) -> Response:
        """Answer a chat, whole or as a stream."""
        allow_body(request.scope, MAX_BODY_BYTES)
        chat = read_chat(await read_json_object(request))
        if chat.skill is not None:
            return await self._ask_skill(request, chat, *chat.skill)
        charge = await self._charge(request, (chat.model, *chat.fallbacks), _task(request, chat))
        models = tuple(charge.route["models"])
        if charge.is_capped and chat.unbounded:
            raise BadRequest(f"under a cap on cost this can't be asked for: {chat.unbounded}; leave it out")
        question = chat.question(models, deadline=self.clock.monotonic() + DEADLINE_SECONDS)
        if not chat.streams:
            passed = await self._asked(request, self.passage.whole(question, charge=charge, observe=self._observe))
            return self._whole(passed)
        self.streams.require_room()
        live = await self._asked(
            request,
            self.passage.stream(question, shows_usage=chat.shows_usage, charge=charge, observe=self._observe),
        )
        return self._live(live)

    async def embeddings(self, request: Request) -> Response:
        """Answer with vectors."""
        allow_body(request.scope, MAX_BODY_BYTES)
        model, body = read_embeddings_request(await read_json_object(request))
        charge = await self._charge(request, (model,), Task(type=TaskType.EMBEDDING))
        question = embeddings_question(charge.route["models"], body, deadline=self.clock.monotonic() + DEADLINE_SECONDS)
        passed = await self._asked(request, self.passage.whole(question, charge=charge, observe=self._observe))
        return self._whole(passed)

    async def list_models(self, request: Request) -> Response:
        """All models."""
        return json_response(list_form(await self._callable(request)))

    async def get_model(self, request: Request) -> Response:
        """One model."""
        name: str = request.path_params["name"]
        aliases = await self._callable(request)
        if name not in aliases:
            raise NotFound(f"unknown model {printable(name)!r}{did_you_mean(name, aliases)}; GET /v1/models lists them")
        return json_response(model_form(name))

    async def _callable(self, request: Request) -> list[str]:
        """Aliases that the caller's key may call."""
        aliases = (await self.catalog.refresh()).aliases
        allowed = await self.payers.allowed_models(caller_of(request))
        return [alias for alias in aliases if not allowed or alias in allowed]

    async def _charge(self, request: Request, named: tuple[str, ...], task: Task) -> Charge:
        """Who pays, and for which models: those that are named, else what suits the task."""
        await self.catalog.refresh()
        paying = await self.payers.paying(caller_of(request), domain=request.headers.get(DOMAIN_HEADER, ""))
        routing = self.catalog.routing
        left = await self.budgets.left(paying.charge.limits) if needs_budget(routing) else None
        task = replace(task, domain=paying.charge.attribution.domain, skill=paying.charge.attribution.skill)
        choice = choose(named if named[0] != AUTO else paying.skill_models, task, routing=routing, left=left)
        paying.require_allowed(choice.models)
        return replace(paying.charge, route=choice.route)

    async def _asked(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """The answer, while the client is there to take it."""
        try:
            return await while_present(request.receive, work)
        except ModelFailed as error:
            raise as_status(error) from error

    def _whole(self, passed: Passed) -> Response:
        """The upstream's answer as it is; who gave it and what it cost are in headers."""
        cost = "" if passed.cost.micro_usd is None else str(passed.cost.micro_usd)
        return Response(
            passed.body,
            media_type="application/json",
            headers={**_who(passed.alias, passed.provider), "x-aspora-cost-micro-usd": cost},
        )

    def _live(self, live: LiveStream) -> Response:
        response = LinesResponse(live, streams=self.streams, framing=SSE)
        response.headers.update(_who(live.alias, live.provider))
        return response

    async def _ask_skill(self, request: Request, chat: ChatRequest, domain: str, skill: str) -> Response:
        """Run a skill for `model: skill:DOMAIN/NAME`."""
        running = self.skills.run(caller_of(request), domain, skill, chat.user_message, origin=origin_of(request))
        execution = await running
        answer = skill_answer(chat.model, execution, now=self.clock.now())
        if not chat.streams:
            return json_response(answer)
        events = skill_events(answer, shows_usage=chat.shows_usage)
        return Response(b"".join(events), media_type=SSE.media_type, headers=dict(SSE.headers))

    def _observe(self, attempt: ModelAttempt) -> None:
        self.metrics.counter(MODEL_CALLS).labels(attempt.provider, attempt.alias, attempt.outcome).inc()
        self.metrics.counter(MODEL_COST).labels(attempt.provider, attempt.alias).inc(attempt.cost.micro_usd or 0)
        self.metrics.histogram(MODEL_SECONDS).labels(attempt.provider, attempt.alias).observe(
            attempt.duration_ms / 1000
        )


def _task(request: Request, chat: ChatRequest) -> Task:
    """What is asked, as rules see it.

    Raises:
        BadRequest: The header names no type of task.
    """
    named = request.headers.get(TASK_HEADER, TaskType.SKILL_EXECUTION.value)
    if named not in set(TaskType):
        known = ", ".join(TaskType)
        raise BadRequest(f"{TASK_HEADER} is {printable(named)!r}, which is no type of task; use one of: {known}")
    tools: Any = chat.body.get("tools") or ()
    return Task(
        type=TaskType(named),
        input_tokens=chat.tokens,
        complexity=complexity_of(input_tokens=chat.tokens, tools=len(tools)),
        requires_reasoning=chat.reasons or named == TaskType.COMPLEX_REASONING,
    )


def _who(alias: str, provider: str) -> dict[str, str]:
    return {"x-aspora-model": alias, "x-aspora-provider": provider}
