"""The agent loop: a skill without a handler, run by Pydantic AI over its SKILL.md.

The executor loads `aspora.executor.agent:run_agent` by name when it is first needed, because importing Pydantic AI
takes seconds; `warm_up` does the rest of what is slow ahead of time, in a thread.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pydantic_ai
from genai_prices.data_snapshot import get_snapshot
from pydantic_ai import Agent, UnexpectedModelBehavior
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_ai.usage import UsageLimits

from aspora.executor.agent_model import AgentModel
from aspora.executor.agent_prompt import result_of, system_prompt, user_prompt
from aspora.executor.agent_tools import AgentTool, SkillFiles, ToolRefused, build_tools, call_tool, readable_paths
from aspora.executor.failures import ExecutionFailed
from aspora.executor.journal import CallThrough, Emit, Journal
from aspora.kit.clock import Clock
from aspora.models.interface import Charge, ModelClient, ModelRequest

pydantic_ai.BANNER_ENABLED = False  # the library would print an advertisement into our terminal

MAX_STEPS = 12
MAX_IDENTICAL_CALLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTask:
    """What one agent run needs to know.

    Attributes:
        instructions: SKILL.md without its front matter.
        guardrails: GUARDRAILS.md of domain and skill; empty for none.
        files: The artifact's files.
        permitted_tools: `permissions.tools` of the skill.
        blocked_resources: `permissions.blocked_resources` of the skill.
        models: The primary alias, then the fallbacks.
        user_message: What the user said.
        metadata: What the caller sent along.
        temperature_milli: Thousandths.
        max_output_tokens: Cap on each answer.
        max_steps: The most model requests.
        max_identical_calls: The same tool call this often is a loop.
        deadline_seconds: From now; None: no deadline.
    """

    instructions: str
    guardrails: str
    files: SkillFiles
    models: tuple[str, ...]
    user_message: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    permitted_tools: frozenset[str] = frozenset()
    blocked_resources: tuple[str, ...] = ()
    temperature_milli: int | None = 700
    max_output_tokens: int = 4096
    max_steps: int = MAX_STEPS
    max_identical_calls: int = MAX_IDENTICAL_CALLS
    deadline_seconds: float | None = None


def warm_up() -> None:
    """Do what Pydantic AI would otherwise do inside the first run: load its price data (it blocks for a second)."""
    get_snapshot()


async def run_agent(
    task: AgentTask,
    *,
    client: ModelClient,
    charge: Charge,
    emit: Emit,
    clock: Clock,
    journal: Journal | None = None,
    on_text: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a skill's instructions over a model until it gives a final answer.

    Args:
        task: What to do.
        client: Calls models; one for the process.
        charge: Who pays for each model request, and within which limits.
        emit: Takes `ModelCall` and `ToolCall` events as they happen.
        clock: For the deadline and durations.
        journal: Makes each model request and tool call a step; None runs them as they are.
        on_text: Takes the text of each answer as it arrives.

    Returns:
        A SkillResult's JSON form: `success`, `message`, `data`, `confidence`.

    Raises:
        ExecutionFailed: With reason ModelNotConfigured, ModelUnavailable, ModelRejected, BudgetExceeded, LoopDetected,
            MaxStepsExceeded or TimedOut.
    """
    await asyncio.to_thread(warm_up)
    scope = asyncio.timeout(task.deadline_seconds)
    try:
        async with scope:
            return await _run(
                task,
                client=client,
                charge=charge,
                emit=emit,
                clock=clock,
                journal=journal or CallThrough(),
                on_text=on_text,
            )
    except TimeoutError:
        if not scope.expired():
            raise
        raise ExecutionFailed(
            "TimedOut",
            f"no final answer within {task.deadline_seconds:g} s; raise runtime.timeout, or simplify the skill",
        ) from None


async def _run(
    task: AgentTask,
    *,
    client: ModelClient,
    charge: Charge,
    emit: Emit,
    clock: Clock,
    journal: Journal,
    on_text: Callable[[str], None] | None,
) -> dict[str, Any]:
    readable = readable_paths(task.files, permitted=task.permitted_tools, blocked=task.blocked_resources)
    tools = build_tools(task.files, permitted=task.permitted_tools, blocked=task.blocked_resources)
    model = AgentModel(
        client=client,
        request=_standing_request(task, clock=clock),
        charge=charge,
        journal=journal,
        emit=emit,
        on_text=on_text,
        max_steps=task.max_steps,
        max_identical_calls=task.max_identical_calls,
    )
    agent = Agent(
        model,
        system_prompt=system_prompt(
            instructions=task.instructions, guardrails=task.guardrails, files=task.files, readable=readable
        ),
        toolsets=[ScopedTools(tools, journal=journal, emit=emit, clock=clock)],
        retries=task.max_steps,
    )
    prompt = user_prompt(user_message=task.user_message, metadata=task.metadata)
    try:
        with agent.parallel_tool_call_execution_mode("sequential"):
            run = await agent.run(prompt, usage_limits=UsageLimits(request_limit=None))
    except UnexpectedModelBehavior as e:
        raise ExecutionFailed(
            "ModelUnavailable",
            f"the model gave nothing that can be used: {e.message};"
            " run it again, or choose another model by model.primary",
        ) from e
    return result_of(run.output, truncated=model.truncated)


def _standing_request(task: AgentTask, *, clock: Clock) -> ModelRequest:
    return ModelRequest(
        models=task.models,
        messages=(),
        max_output_tokens=task.max_output_tokens,
        temperature_milli=task.temperature_milli,
        deadline=None if task.deadline_seconds is None else clock.monotonic() + task.deadline_seconds,
    )


class _RawArguments:
    """Hands a model's arguments on as the text it wrote: our own check answers with all problems at once."""

    def validate_json(self, input: str | bytes | bytearray, **_: Any) -> dict[str, Any]:
        return {"raw": input if isinstance(input, str) else bytes(input).decode(errors="replace")}

    def validate_python(self, input: Any, **_: Any) -> dict[str, Any]:
        return {"raw": json.dumps(input, default=str)}


class ScopedTools(AbstractToolset[object]):
    """The tools of one run; each call is one journalled step and one `ToolCall` event, and calls run one by one.

    Args:
        tools: What the skill may use.
        journal: Makes each call a step.
        emit: Takes the events.
        clock: For durations.
    """

    def __init__(self, tools: Sequence[AgentTool], *, journal: Journal, emit: Emit, clock: Clock) -> None:
        self._tools = tools
        self._journal = journal
        self._emit = emit
        self._clock = clock
        self._calls = 0

    @property
    def id(self) -> str:
        """Names this toolset among an agent's."""
        return "aspora"

    async def get_tools(self, ctx: RunContext[object]) -> dict[str, ToolsetTool[object]]:
        """All tools in Pydantic AI's form."""
        return {t.name: self._as_toolset_tool(t) for t in self._tools}

    def _as_toolset_tool(self, tool: AgentTool) -> ToolsetTool[object]:
        definition = ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=dict(tool.schema),
            sequential=True,
        )
        return ToolsetTool(toolset=self, tool_def=definition, max_retries=0, args_validator=_RawArguments())

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[object], tool: ToolsetTool[object]
    ) -> str:
        """Run a tool; what it refuses is an answer that the model can act on."""
        self._calls += 1
        key = f"tool:{self._calls}:{name}"
        outcome = await self._journal.step(key, partial(self._run, name, str(tool_args["raw"])))
        return str(outcome["answer"])

    async def _run(self, name: str, arguments: str) -> dict[str, Any]:
        started = self._clock.monotonic()
        try:
            answer, ok = await call_tool(self._tools, name, arguments), True
        except ToolRefused as e:
            answer, ok = f"error: {e}", False
        duration_ms = round((self._clock.monotonic() - started) * 1000)
        self._emit({"type": "ToolCall", "name": name, "ok": ok, "duration_ms": duration_ms})
        return {"answer": answer, "ok": ok}
