"""Requests in OpenAI's form, checked as far as money and routing need it; the rest is the upstream's to judge. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aspora.meta.errors import BadRequest
from aspora.models.question import Operation, Question

SKILL_PREFIX: Final = "skill:"
DEFAULT_MAX_OUTPUT_TOKENS: Final = 4096
MAX_CHOICES: Final = 16
MAX_BODY_BYTES: Final = 8 * 1024 * 1024

UNBOUNDED: Final[Mapping[str, str]] = {
    "audio": "spoken answers are priced apart",
    "modalities": "answers that are no text are priced apart",
    "plugins": "plugins are priced apart",
    "provider": "another provider has another price",
    "route": "another model has another price",
    "service_tier": "tiers are priced apart",
    "web_search_options": "searches are priced apart",
}
"""What makes a call cost more than its tokens, so that no upper bound can be set aside for it."""

_BYTES_PER_TOKEN: Final = 4
_OURS: Final = frozenset({"model", "max_tokens", "max_completion_tokens", "stream", "stream_options", "models"})


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for an answer.

    Attributes:
        model: As the caller names it; `auto` for what suits the task.
        fallbacks: Tried after it, in order.
        tokens: Estimated input, one for each four bytes.
        reasons: The caller asks for reasoning.
        shows_usage: Whether a stream ends with the event of token counts.
        unbounded: Why its cost can't be bounded; "" when it can.
    """

    model: str
    fallbacks: tuple[str, ...]
    body: Mapping[str, Any]
    tokens: int
    reasons: bool
    max_output_tokens: int
    choices: int
    streams: bool
    shows_usage: bool
    unbounded: str

    @property
    def skill(self) -> tuple[str, str] | None:
        """Domain and name of the skill that shall answer; None when a model shall."""
        if not self.model.startswith(SKILL_PREFIX):
            return None
        domain, slash, name = self.model.removeprefix(SKILL_PREFIX).partition("/")
        if not (domain and slash and name) or "/" in name:
            raise BadRequest(f"{self.model[:120]!r} names no skill; write it like 'skill:ecm/order-details'")
        return domain, name

    @property
    def user_message(self) -> str:
        """The text of the last message of the user; what a skill is told."""
        for message in reversed(self.body["messages"]):
            if message.get("role") == "user":
                return _text_of(message.get("content"))
        raise BadRequest("a skill answers a message of the role 'user', and messages holds none; add one")

    def question(self, models: tuple[str, ...], *, deadline: float) -> Question:
        """The same for whichever endpoint answers."""
        return Question(
            models=models,
            body=self.body,
            max_output_tokens=self.max_output_tokens,
            choices=self.choices,
            streams=self.streams,
            deadline=deadline,
        )


def read_chat(body: Mapping[str, Any]) -> ChatRequest:
    """Check a chat request.

    Raises:
        BadRequest: Says which field is wrong and what it should be.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):  # pyright: ignore[reportUnknownVariableType]
        raise BadRequest("'messages' must be a list of objects with role and content, at least one; send what was said")
    if body.get("tools") is not None and not isinstance(body["tools"], list):
        raise BadRequest("'tools' must be a list of tools; correct it, or leave it out")
    streams = _flag(body, "stream")
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadRequest(
            "'stream_options' must be an object, of which include_usage is read; correct it, or leave it out"
        )
    return ChatRequest(
        model=_model(body),
        fallbacks=_fallbacks(body),
        tokens=len(json.dumps([messages, body.get("tools")], default=str)) // _BYTES_PER_TOKEN,
        reasons=bool(body.get("reasoning_effort") or body.get("reasoning")),
        body={name: value for name, value in body.items() if name not in _OURS},
        max_output_tokens=_max_output(body),
        choices=_whole(body, "n", default=1, most=MAX_CHOICES),
        streams=streams,
        shows_usage=bool(options.get("include_usage")),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        unbounded=_unbounded(body),
    )


def read_embeddings_request(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The model of a request for vectors, and the rest of it.

    Raises:
        BadRequest: There is no input, or no model.
    """
    if not isinstance(body.get("input"), str | list) or not body["input"]:
        raise BadRequest("'input' must be a text or a list of texts; send what shall become a vector")
    return _model(body), {name: value for name, value in body.items() if name != "model"}


def embeddings_question(models: Sequence[str], body: Mapping[str, Any], *, deadline: float) -> Question:
    """The same for whichever endpoint answers."""
    return Question(
        models=tuple(models), body=body, operation=Operation.EMBEDDINGS, max_output_tokens=0, deadline=deadline
    )


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("'model' must be the name of a model, or 'skill:DOMAIN/NAME'; GET /v1/models lists them")
    return model


def _fallbacks(body: Mapping[str, Any]) -> tuple[str, ...]:
    """More models to try, as OpenRouter's clients send them."""
    given: Any = body.get("models") or []
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):  # pyright: ignore[reportUnknownVariableType]
        raise BadRequest("'models' must be a list of names of models to try in order; correct it, or leave it out")
    return tuple(given)  # pyright: ignore[reportUnknownArgumentType]


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name!r} must be true or false; correct it, or leave it out")
    return bool(value)


def _whole(body: Mapping[str, Any], name: str, *, default: int, most: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadRequest(f"{name!r} must be a whole number from 1 to {most}; correct it, or leave it out")
    return value


def _max_output(body: Mapping[str, Any]) -> int:
    """The lower one where both names are used."""
    names = ("max_completion_tokens", "max_tokens")
    given = [_whole(body, n, default=1, most=10_000_000) for n in names if body.get(n) is not None]
    return min(given, default=DEFAULT_MAX_OUTPUT_TOKENS)


def _unbounded(body: Mapping[str, Any]) -> str:
    for name, why in UNBOUNDED.items():
        plain = {"modalities": ["text"], "service_tier": "default"}.get(name)
        if body.get(name) is not None and body[name] != plain:
            return f"{name}: {why}"
    return ""


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts: list[Any] = content if isinstance(content, list) else []
    return "".join(str(p.get("text", "")) for p in parts if isinstance(p, dict) and p.get("type") == "text")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
