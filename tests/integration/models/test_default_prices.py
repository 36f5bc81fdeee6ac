"""The shipped prices against the installed genai-prices data, so that they can't drift unseen."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

from aspora.models.defaults import default_objects

MODELS = [o for o in default_objects() if o["kind"] == "Model"]
FIELDS = {
    "input_mtok": "inputMicroUsdPerMillionTokens",
    "output_mtok": "outputMicroUsdPerMillionTokens",
    "cache_read_mtok": "cachedInputMicroUsdPerMillionTokens",
    "cache_write_mtok": "cacheWriteMicroUsdPerMillionTokens",
}


def expected_prices(upstream_id: str, source: str) -> dict[str, Any]:
    """The package's prices of a model in the form of our objects, from the provider that the source names."""
    provider = next(p for p in get_snapshot().providers if p.id == source.rpartition(" ")[2])
    named = upstream_id if provider.id == "openrouter" else upstream_id.rpartition("/")[2]
    model = next(m for m in provider.models if m.id == named)
    known: Any = model.get_prices(datetime.now(UTC))
    plain: dict[str, Any] = {}
    long: dict[str, Any] = {}
    for theirs, ours in FIELDS.items():
        price = getattr(known, theirs)
        if isinstance(price, TieredPrices):
            (tier,) = price.tiers
            long |= {"aboveInputTokens": tier.start, ours: int(tier.price.scaleb(6))}
            price = price.base
        if price is not None:
            plain[ours] = int(Decimal(price).scaleb(6))
    plain.setdefault("outputMicroUsdPerMillionTokens", 0)  # vectors have no output tokens
    return {**plain, "longContext": long} if long else plain


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m["metadata"]["name"])
def test_shipped_prices_are_those_of_the_package(model: dict[str, Any]) -> None:
    assert model["spec"]["prices"] == expected_prices(model["spec"]["upstreamId"], model["spec"]["priceSource"])
