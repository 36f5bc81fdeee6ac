"""Model: an alias that skills name, with its provider, upstream id, prices and tier."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus

Tier = Literal["small", "middle", "large"]
MAX_PRICE = 10**12
"""A million dollars per million tokens: more is a slip of the unit."""


class TokenPrices(ApiModel):
    """What tokens cost, in micro-USD per million tokens: $3 a million is 3000000."""

    input_micro_usd_per_million_tokens: int = Field(ge=0, le=MAX_PRICE)
    """Prompt tokens."""
    output_micro_usd_per_million_tokens: int = Field(ge=0, le=MAX_PRICE)
    """Answer tokens."""
    cached_input_micro_usd_per_million_tokens: int | None = Field(default=None, ge=0, le=MAX_PRICE)
    """Prompt tokens read from the provider's cache; absent: as input."""
    cache_write_micro_usd_per_million_tokens: int | None = Field(default=None, ge=0, le=MAX_PRICE)
    """Prompt tokens written to the provider's cache; absent: as input."""
    reasoning_micro_usd_per_million_tokens: int | None = Field(default=None, ge=0, le=MAX_PRICE)
    """Reasoning tokens, which providers count among the output tokens; absent: as output."""


class LongContextPrices(TokenPrices):
    """Other prices for the whole call when its prompt is long."""

    above_input_tokens: int = Field(ge=1)
    """They hold for prompts of more tokens than this."""


class ModelPrices(TokenPrices):
    """The prices of a model."""

    long_context: LongContextPrices | None = None
    """Absent: the same prices at every length."""


class ModelSpec(ApiModel):
    """What an alias stands for."""

    provider: str
    """Name of a Provider."""
    upstream_id: str = Field(min_length=1, max_length=200)
    """The provider's own name of the model, e.g. `anthropic/claude-sonnet-4.5`."""
    capability: Literal["chat", "embedding"] = "chat"
    """What it does: answers, or turns texts into vectors."""
    tier: Tier
    """Class by ability and price; rules choose by it."""
    context_tokens: int = Field(ge=1)
    """Prompt and answer together."""
    max_output_tokens: int | None = Field(default=None, ge=1)
    """The longest answer the provider gives; absent: no cap of its own."""
    prices: ModelPrices | None = None
    """Absent: a call under a cost cap is refused, for its cost can't be bounded."""
    price_source: str = ""
    """Where the prices were taken from, and when."""


def validate(model: Object[ModelSpec, ObjectStatus]) -> list[FieldError]:
    """Caps that fit one another."""
    spec = model.spec
    errors: list[FieldError] = []
    if spec.max_output_tokens is not None and spec.max_output_tokens > spec.context_tokens:
        errors.append(FieldError("spec.maxOutputTokens", f"must be at most contextTokens ({spec.context_tokens})"))
    long = spec.prices.long_context if spec.prices is not None else None
    if long is not None and long.above_input_tokens >= spec.context_tokens:
        errors.append(
            FieldError(
                "spec.prices.longContext.aboveInputTokens", f"must be below contextTokens ({spec.context_tokens})"
            )
        )
    return errors


def _per_million(obj: Wire, name: str) -> str:
    prices: dict[str, Any] | None = obj["spec"].get("prices")
    if prices is None:
        return "none"
    micro_usd = prices.get(name)
    return "" if micro_usd is None else f"${Decimal(micro_usd).scaleb(-6).normalize():f}"


def describe(obj: Wire) -> list[Section]:
    """Where it runs and what it costs."""
    spec = obj["spec"]
    upstream = (
        ("Provider", spec["provider"]),
        ("Upstream id", spec["upstreamId"]),
        ("Tier", spec["tier"]),
        ("Context", f"{spec['contextTokens']} tokens"),
    )
    prices = tuple(
        (label, _per_million(obj, f"{name}MicroUsdPerMillionTokens") or "as input or output")
        for label, name in (
            ("Input", "input"),
            ("Output", "output"),
            ("Cached input", "cachedInput"),
            ("Cache write", "cacheWrite"),
            ("Reasoning", "reasoning"),
        )
    )
    return [
        Section("Upstream", upstream),
        Section("Prices per million tokens", (*prices, ("Source", str(spec.get("priceSource") or "not stated")))),
    ]


KIND = Kind(
    kind="Model",
    plural="models",
    scope=Scope.CLUSTER,
    spec=ModelSpec,
    validate=validate,
    columns=(
        Column("PROVIDER", "spec.provider"),
        Column("TIER", "spec.tier"),
        Column("IN/M", lambda o: _per_million(o, "inputMicroUsdPerMillionTokens")),
        Column("OUT/M", lambda o: _per_million(o, "outputMicroUsdPerMillionTokens")),
        Column("CONTEXT", "spec.contextTokens"),
        Column("UPSTREAM", "spec.upstreamId", wide=True),
    ),
    describe=describe,
    dotted_names=True,
)
