"""The port of model calls: `ModelClient` answers one request, within the limits of whoever is charged for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from aspora.ledger.interface import Attribution, Limit, Unit
from aspora.models.catalog import Demands

Message = Mapping[str, Any]
"""One message of a chat in OpenAI's form: `role`, `content`, and where they apply `tool_calls`, `tool_call_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request for an answer.

    Attributes:
        models: Aliases in the order to try: the primary, then its fallbacks; never empty.
        messages: The whole conversation.
        tools: Function tools in OpenAI's form.
        max_output_tokens: Cap on the answer's tokens, reasoning included.
        temperature_milli: Thousandths; None leaves it to the upstream.
        deadline: The clock's monotonic instant after which no attempt starts and none goes on; None: no deadline.
    """

    models: tuple[str, ...]
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    max_output_tokens: int = 4096
    temperature_milli: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Who pays for a call, and within which limits.

    Attributes:
        limits: All that it falls under; each attempt takes its part from all of them, or does not go out.
        attribution: Whose it is in reports.
        route: Why these models are asked; kept with each attempt.
        demands: What the payer demands of the models and providers that are asked; None: nothing.
    """

    limits: tuple[Limit, ...] = ()
    attribution: Attribution = field(default_factory=Attribution)
    route: Mapping[str, Any] = field(default_factory=dict[str, Any])
    demands: Demands | None = None

    @property
    def is_capped(self) -> bool:
        """Whether some cap is on money: a call whose cost can't be bounded is then refused."""
        return any(limit.cap is not None and limit.unit is Unit.MICRO_USD for limit in self.limits)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for; `arguments` is the text it wrote, JSON if it wrote well."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens as the upstream counted them; cached and written ones are part of the input, reasoning of the output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class CostSource(Enum):
    """Where a cost comes from."""

    UPSTREAM = "upstream"
    """The upstream said it (`usage.cost`)."""
    PRICES = "prices"
    """The Model's prices times the upstream's token counts."""
    BOUND = "bound"
    """No usage came: counted bytes, an upper bound."""
    HOLD = "hold"
    """The upstream's word can't be true, or there is none and no price: the whole hold."""
    IN_DOUBT = "in_doubt"
    """The call may have been charged and nobody can tell: the whole hold."""
    NOTHING = "nothing"
    """The call was not charged: it never went out or was refused."""
    UNKNOWN = "unknown"
    """The call was answered, the upstream named no cost and the model has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What a call cost.

    Attributes:
        micro_usd: The booked cost; None when the model has no price and the upstream named none.
        source: Where it comes from.
        upstream_micro_usd: What the upstream said, when it was a usable number.
        priced_micro_usd: What the Model's prices give.
        flags: CamelCase findings: `UsageMissing`, `ModelDiffers`, `Cut`, `Unpriced`, and those of `ledger.costs.book`.
    """

    micro_usd: int | None
    source: CostSource
    upstream_micro_usd: int | None = None
    priced_micro_usd: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAttempt:
    """One HTTP request to an upstream, as the trace shows it; never holds a prompt or an answer.

    Attributes:
        alias: The alias it served.
        provider: Name of the Provider.
        upstream: The upstream's id of the model.
        attempt: From 1, counted for each alias.
        outcome: `ok`, or what went wrong in snake_case: `rate_limited`, `server_error`, `unreachable` …
        message: What went wrong, for people; empty when all went well.
        duration_ms: From sending to the last byte.
        usage: Tokens; None when unknown.
        cost: What it cost.
    """

    alias: str
    provider: str
    upstream: str
    attempt: int
    outcome: str
    message: str
    duration_ms: int
    usage: TokenUsage | None
    cost: ModelCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """An answer.

    Attributes:
        text: The answer's text; empty when there are only tool calls.
        tool_calls: Calls the model asks for, in its order.
        finish_reason: The upstream's word: `stop`, `length`, `tool_calls`, `content_filter`.
        alias: The alias that answered: the primary or a fallback.
        upstream_model: The model the upstream says it was.
        usage: Tokens; None when the upstream sent none.
        cost: What the answering attempt cost.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    alias: str
    upstream_model: str
    usage: TokenUsage | None
    cost: ModelCost = field(repr=False)


class ModelClient(Protocol):
    """Answers requests: picks endpoints, retries, falls back, counts money."""

    async def generate(
        self,
        request: ModelRequest,
        *,
        charge: Charge,
        observe: Callable[[ModelAttempt], None],
        on_text: Callable[[str], None] | None = None,
    ) -> ModelReply:
        """Get one answer.

        Args:
            request: What to ask of which aliases.
            charge: Who pays: asked before each attempt, told after each.
            observe: Called once for each attempt that went out, when it has ended, cancelled ones too.
            on_text: Takes the answer's text piece by piece as it arrives; None asks for the answer in one piece.
                After the first piece nothing is tried again.

        Raises:
            ModelNotConfigured: No endpoint is configured for any of the aliases, or an alias is unknown.
            ModelRejected: The upstream refused the request itself; neither a retry nor a fallback would help.
            ModelUnavailable: Every attempt failed; the message lists them.
            ModelTimedOut: The deadline passed.
            BudgetExceeded: A cap leaves too little, or is paused; nothing went out after that.
            RateLimited: A limit of requests or tokens does.
            LedgerUnavailable: Nobody can say whether it may be spent; nothing went out after that.
        """
        ...
