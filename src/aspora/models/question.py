"""What is asked of whichever endpoint answers, and the attempt at one of them with the upper bound of its cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote

from aspora.models.catalog import Endpoint
from aspora.models.failures import ModelNotConfigured
from aspora.models.interface import ModelRequest, TokenUsage
from aspora.models.pricing import bound_input_tokens, hold_micro_usd
from aspora.models.wire import endpoint_body


class Operation(Enum):
    """What upstreams do."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"

    def path(self, endpoint: Endpoint) -> str:
        """Where an endpoint does it, below its base URL."""
        provider = endpoint.provider
        template = provider.chat_path if self is Operation.CHAT else provider.embeddings_path
        return template.replace("{model}", quote(endpoint.upstream_id, safe=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request without what depends on the endpoint.

    Attributes:
        models: Aliases in the order to try; never empty.
        body: In OpenAI's form, without `model`, the cap on tokens and what belongs to streaming.
        operation: What is wanted.
        max_output_tokens: Of each answer, reasoning included; 0 for an embedding.
        choices: How many answers are wanted.
        streams: Whether the answer is wanted piece by piece.
        deadline: The clock's monotonic instant after which no attempt starts and none goes on; None: no deadline.
    """

    models: tuple[str, ...]
    body: Mapping[str, Any]
    operation: Operation = Operation.CHAT
    max_output_tokens: int = 4096
    choices: int = 1
    streams: bool = False
    deadline: float | None = None


def question_of(request: ModelRequest, *, streams: bool) -> Question:
    """An agent's request as a question."""
    body: dict[str, Any] = {"messages": list(request.messages)}
    if request.tools:
        body["tools"] = list(request.tools)
    if request.temperature_milli is not None:
        body["temperature"] = request.temperature_milli / 1000
    return Question(
        models=request.models,
        body=body,
        max_output_tokens=request.max_output_tokens,
        streams=streams,
        deadline=request.deadline,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to one endpoint, priced before it goes out.

    Attributes:
        number: From 1, counted for each alias.
        body: The JSON body.
        bound: At most so many tokens.
        hold_micro_usd: At most what it costs; None: the model has no price.
    """

    endpoint: Endpoint
    number: int
    body: bytes
    bound: TokenUsage
    hold_micro_usd: int | None


def prepare(question: Question, endpoint: Endpoint, *, number: int) -> Attempt:
    """The body for an endpoint and the upper bound of what it can cost."""
    model = endpoint.model
    most = min(question.max_output_tokens, model.max_output_tokens or model.context_tokens)
    body = endpoint_body(
        question.body,
        model=endpoint.upstream_id,
        max_tokens_field=endpoint.provider.max_tokens_field,
        max_output_tokens=most,
        streams=question.streams,
    )
    input_tokens = bound_input_tokens(body)
    if question.operation is Operation.CHAT:
        input_tokens = min(input_tokens, model.context_tokens)
    output_tokens = most * question.choices
    return Attempt(
        endpoint=endpoint,
        number=number,
        body=body,
        bound=TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens),
        hold_micro_usd=None
        if model.prices is None
        else hold_micro_usd(model.prices, input_tokens=input_tokens, output_tokens=output_tokens),
    )


def refuse_unpriced(endpoints: list[Endpoint]) -> None:
    """See that a cap can be kept.

    Raises:
        ModelNotConfigured: A model has no price.
    """
    unpriced = sorted(e.alias for e in endpoints if e.model.prices is None)
    if unpriced:
        raise ModelNotConfigured(
            f"model {unpriced[0]!r} has no price, so a cap on its cost can't be kept; "
            "set spec.prices of the Model, or take the caps away that its caller falls under"
        )
