"""Pydantic AI's view of our model client: one journalled step for each model request, with the run's limits."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from aspora.executor.failures import ExecutionFailed
from aspora.executor.journal import Emit, Journal
from aspora.models.failures import ModelFailed
from aspora.models.interface import Charge, ModelAttempt, ModelClient, ModelReply, ModelRequest

OnText = Callable[[str], None]


class AgentModel(Model[Any]):
    """The model of one agent run.

    Args:
        client: Calls upstreams.
        request: What stays the same in every request: aliases, limits, deadline.
        charge: Who pays.
        journal: Makes each request a step that is not repeated after a crash.
        emit: Takes one `ModelCall` event for each attempt.
        on_text: Takes text as it arrives, or None.
        max_steps: The most requests a run may make.
        max_identical_calls: The same tool call this often is a loop.
    """

    def __init__(
        self,
        *,
        client: ModelClient,
        request: ModelRequest,
        charge: Charge,
        journal: Journal,
        emit: Emit,
        on_text: OnText | None,
        max_steps: int,
        max_identical_calls: int,
    ) -> None:
        super().__init__()
        self._client = client
        self._request = request
        self._charge = charge
        self._journal = journal
        self._emit = emit
        self._on_text = on_text
        self._max_steps = max_steps
        self._max_identical_calls = max_identical_calls
        self._steps = 0
        self._seen: Counter[tuple[str, str]] = Counter()
        self.truncated = False
        """Whether the last answer was cut at the cap on output tokens."""

    @property
    def model_name(self) -> str:
        """The primary alias."""
        return self._request.models[0]

    @property
    def system(self) -> str:
        """The name Pydantic AI files this provider under."""
        return "aspora"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make one model request as one step.

        Raises:
            ExecutionFailed: `MaxStepsExceeded`, `LoopDetected`, or the reason why the client has no answer.
        """
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        self._steps += 1
        if self._steps > self._max_steps:
            raise ExecutionFailed(
                "MaxStepsExceeded",
                f"{self._max_steps} model requests brought no final answer; raise max_steps or simplify the skill",
            )
        wire = to_wire_messages(messages, parameters)
        outcome = await self._journal.step(f"model:{self._steps}", partial(self._ask, wire, _wire_tools(parameters)))
        failure = outcome.get("failure")
        if failure is not None:
            raise ExecutionFailed(failure["reason"], failure["message"])
        return self._response(outcome["reply"])

    async def _ask(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The step: JSON in, JSON out, a failure too, so that any journal can keep it."""
        request = ModelRequest(
            models=self._request.models,
            messages=tuple(messages),
            tools=tuple(tools),
            max_output_tokens=self._request.max_output_tokens,
            temperature_milli=self._request.temperature_milli,
            deadline=self._request.deadline,
        )
        outcome: dict[str, Any] = {}
        try:
            reply = await self._client.generate(
                request, charge=self._charge, observe=self._observe, on_text=self._on_text
            )
            outcome["reply"] = _reply_to_json(reply)
            self._note_unknown_tools(reply, known={t["function"]["name"] for t in tools})
        except ModelFailed as e:
            outcome["failure"] = {"reason": e.reason, "message": e.message}
        return outcome

    def _note_unknown_tools(self, reply: ModelReply, *, known: set[str]) -> None:
        """Calls of tools that do not exist never reach a tool; the trace shows them all the same."""
        for call in reply.tool_calls:
            if call.name not in known:
                self._emit({"type": "ToolCall", "name": call.name[:64], "ok": False, "duration_ms": 0})

    def _observe(self, attempt: ModelAttempt) -> None:
        usage = asdict(attempt.usage) if attempt.usage is not None else {}
        event: dict[str, Any] = {
            "type": "ModelCall",
            "step": self._steps,
            "alias": attempt.alias,
            "provider": attempt.provider,
            "upstream": attempt.upstream,
            "attempt": attempt.attempt,
            "outcome": attempt.outcome,
            "input_tokens": usage.get("input_tokens"),
            "output_tokens": usage.get("output_tokens"),
            "cached_input_tokens": usage.get("cached_input_tokens"),
            "reasoning_tokens": usage.get("reasoning_tokens"),
            "cost_micro_usd": attempt.cost.micro_usd,
            "cost_source": attempt.cost.source.value,
            "duration_ms": attempt.duration_ms,
        }
        if attempt.cost.flags:
            event["flags"] = list(attempt.cost.flags)
        if attempt.message:
            event["message"] = attempt.message
        self._emit(event)

    def _response(self, reply: Mapping[str, Any]) -> ModelResponse:
        """Turn an answer into Pydantic AI's form, after looking for loops and empty answers."""
        calls: list[dict[str, str]] = reply["tool_calls"]
        self._watch_for_loops(calls)
        self.truncated = reply["finish_reason"] == "length"
        if not calls and not reply["text"].strip():
            _refuse_empty(reply["finish_reason"], alias=reply["alias"])
        parts: list[ModelResponsePart] = [TextPart(content=reply["text"])] if reply["text"] else []
        for i, call in enumerate(calls):
            call_id = call["id"] or f"call_{self._steps}_{i}"
            parts.append(ToolCallPart(tool_name=call["name"], args=call["arguments"], tool_call_id=call_id))
        usage: dict[str, int] = reply["usage"] or {}
        return ModelResponse(
            parts=parts,
            usage=RequestUsage(input_tokens=usage.get("input_tokens", 0), output_tokens=usage.get("output_tokens", 0)),
            model_name=reply["upstream_model"] or reply["alias"],
        )

    def _watch_for_loops(self, calls: Sequence[Mapping[str, str]]) -> None:
        for call in calls:
            key = (call["name"], _canonical(call["arguments"]))
            self._seen[key] += 1
            if self._seen[key] >= self._max_identical_calls:
                raise ExecutionFailed(
                    "LoopDetected",
                    f"the model called {call['name']!r} {self._seen[key]} times with the same arguments; "
                    "say in SKILL.md what to do when a tool does not help",
                )


def _refuse_empty(finish_reason: str, *, alias: str) -> None:
    if finish_reason == "content_filter":
        raise ExecutionFailed(
            "ModelRejected",
            f"the content filter of model {alias!r} withheld the answer; "
            "reword the request, or choose another model by model.primary",
        )
    if finish_reason == "length":
        raise ExecutionFailed(
            "ModelRejected", f"model {alias!r} used all its output tokens before the answer; raise model.max_tokens"
        )
    raise ExecutionFailed(
        "ModelUnavailable",
        f"model {alias!r} gave an empty answer; run it again, or choose another model by model.primary",
    )


def _canonical(arguments: str) -> str:
    """The same arguments in another order or spacing are the same."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _reply_to_json(reply: ModelReply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "tool_calls": [asdict(c) for c in reply.tool_calls],
        "finish_reason": reply.finish_reason,
        "alias": reply.alias,
        "upstream_model": reply.upstream_model,
        "usage": asdict(reply.usage) if reply.usage is not None else None,
    }


def _wire_tools(parameters: ModelRequestParameters) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": tool.parameters_json_schema,
            },
        }
        for tool in parameters.function_tools
    ]


def to_wire_messages(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> list[dict[str, Any]]:
    """A prepared conversation in OpenAI's form."""
    wire: list[dict[str, Any]] = []
    if parameters.instruction_parts:
        wire.append({"role": "system", "content": InstructionPart.join(parameters.instruction_parts)})
    for message in messages:
        if isinstance(message, ModelResponse):
            wire.append(_assistant(message))
        else:
            wire += [_from_part(part) for part in message.parts]
    return wire


def _assistant(message: ModelResponse) -> dict[str, Any]:
    text = "".join(p.content for p in message.parts if isinstance(p, TextPart))
    calls = [
        {
            "id": p.tool_call_id,
            "type": "function",
            "function": {"name": p.tool_name, "arguments": p.args_as_json_str()},
        }
        for p in message.parts
        if isinstance(p, ToolCallPart)
    ]
    return {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _from_part(part: ModelRequestPart) -> dict[str, Any]:
    match part:
        case SystemPromptPart():
            return {"role": "system", "content": part.content}
        case UserPromptPart(content=str() as text):
            return {"role": "user", "content": text}
        case ToolReturnPart():
            returned = cast("ToolReturnPart[Any]", part)
            return {
                "role": "tool",
                "tool_call_id": returned.tool_call_id,
                "content": returned.model_response_str(),
            }
        case _:
            raise TypeError(f"a {type(part).__name__} can't be sent to a model")
