"""From alias to endpoint, and what the errors tell a person to do."""

from typing import Any

import pytest

from aspora.apis.decode import decode
from aspora.apis.model import KIND as MODEL
from aspora.apis.model_routing import KIND as MODEL_ROUTING
from aspora.apis.provider import KIND as PROVIDER
from aspora.meta.errors import Invalid
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.models.failures import ModelNotConfigured

ALIASES = ["claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-5", "gemini-2.0-flash", "gpt-4o", "gpt-4o-mini"] + [
    f"text-embedding-3-{size}" for size in ("large", "small")
]


def catalog(environment: dict[str, str], *more: dict[str, Any]) -> Catalog:
    objects = [*default_objects(), *more]
    return Catalog(
        [o for o in objects if o["kind"] == "Model"],
        [o for o in objects if o["kind"] == "Provider"],
        environment=environment,
    )


def test_the_shipped_objects_are_valid_and_complete() -> None:
    kinds = {"Model": MODEL, "Provider": PROVIDER, "ModelRouting": MODEL_ROUTING}
    for obj in default_objects():
        decode(kinds[obj["kind"]], obj)
    assert catalog({}).aliases == ALIASES
    assert all(catalog({}).model(a).prices is not None for a in ALIASES)


def test_openrouter_serves_when_its_key_is_set() -> None:
    (endpoint,) = catalog({"OPENROUTER_API_KEY": " k \n"}).resolve(["claude-sonnet-4-5"])
    assert endpoint.base_url == "https://openrouter.ai/api/v1"
    assert endpoint.upstream_id == "anthropic/claude-sonnet-4.5"
    assert endpoint.api_key == "k"
    assert set(endpoint.provider.headers) == {"HTTP-Referer", "X-Title"}


def test_a_custom_url_takes_over_every_alias_and_keeps_openrouter_s_key_at_home() -> None:
    env = {"OPENROUTER_API_KEY": "k", "ASPORA_MODEL_URL": "http://127.0.0.1:9/v1/"}
    endpoints = catalog(env).resolve(["claude-sonnet-4-5", "gpt-4o-mini"])
    assert [e.provider_name for e in endpoints] == ["custom", "custom"]
    assert [e.upstream_id for e in endpoints] == ["anthropic/claude-sonnet-4.5", "openai/gpt-4o-mini"]
    assert endpoints[0].base_url == "http://127.0.0.1:9/v1"
    assert endpoints[0].api_key is None


def test_a_custom_name_replaces_the_upstream_ids() -> None:
    env = {"ASPORA_MODEL_URL": "http://h/v1", "ASPORA_MODEL_NAME": "llama", "ASPORA_MODEL_API_KEY": "mine"}
    (endpoint,) = catalog(env).resolve(["gpt-4o"])
    assert (endpoint.upstream_id, endpoint.api_key) == ("llama", "mine")


@pytest.mark.parametrize("env", [{}, {"OPENROUTER_API_KEY": "  "}])
def test_says_what_to_set_when_nothing_is(env: dict[str, str]) -> None:
    with pytest.raises(ModelNotConfigured) as caught:
        catalog(env).resolve(["claude-sonnet-4-5", "gpt-4o-mini"])
    message = str(caught.value)
    assert message == (
        "no model endpoint is configured for claude-sonnet-4-5, gpt-4o-mini:"
        " set OPENROUTER_API_KEY, or ASPORA_MODEL_URL to the URL of any OpenAI-compatible endpoint"
    )


def test_an_unknown_alias_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ModelNotConfigured, match=r"unknown model 'claude-sonet-4-5'.*did you mean 'claude-sonnet-4-5'"):
        catalog({"OPENROUTER_API_KEY": "k"}).resolve(["claude-sonet-4-5"])


def test_an_unconfigured_alias_is_left_to_its_fallback() -> None:
    local = {
        "kind": "Provider",
        "metadata": {"name": "local"},
        "spec": {"baseUrl": "http://h/v1", "apiKeyRequired": False},
    }
    spec = {"provider": "local", "upstreamId": "x", "tier": "small", "contextTokens": 10}
    mine = {"kind": "Model", "metadata": {"name": "mine"}, "spec": spec}
    found = catalog({}, local, mine).resolve(["gpt-4o", "mine", "mine"])
    assert [e.alias for e in found] == ["mine"]


def test_an_unknown_provider_is_named() -> None:
    spec = {"provider": "opnrouter", "upstreamId": "x", "tier": "small", "contextTokens": 10}
    with pytest.raises(ModelNotConfigured, match="unknown provider 'opnrouter'; did you mean 'openrouter'"):
        catalog({}, {"kind": "Model", "metadata": {"name": "mine"}, "spec": spec}).resolve(["mine"])


@pytest.mark.parametrize("url", ["user:pw@host", "http://user:pw@host/v1", "http://[pw/v1", "http://h:99999999/pw"])
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ModelNotConfigured, match="ASPORA_MODEL_URL is not a URL") as caught:
        catalog({"ASPORA_MODEL_URL": url}).resolve(["gpt-4o"])
    assert "pw" not in str(caught.value)


def provider(**spec: Any) -> dict[str, Any]:
    return {"kind": "Provider", "metadata": {"name": "p"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.baseUrl"),
        ({"baseUrl": "http://h", "baseUrlFromEnv": "X"}, "spec.baseUrl"),
        ({"baseUrl": "ftp://h"}, "spec.baseUrl"),
        ({"baseUrl": "https://u:p@h/v1"}, "spec.baseUrl"),
        ({"baseUrl": "http://[::1"}, "spec.baseUrl"),
        ({"baseUrl": "http://h", "apiKeyFromEnv": "AWS_SECRET_ACCESS"}, "spec.apiKeyFromEnv"),
        ({"baseUrlFromEnv": "not-a-name"}, "spec.baseUrlFromEnv"),
        ({"baseUrl": "http://h", "headers": {"Authorization": "x"}}, "spec.headers.Authorization"),
        ({"baseUrl": "http://h", "headers": {"X-A": "a\r\nb"}}, "spec.headers.X-A"),
        ({"baseUrl": "http://h", "servesEveryModel": True}, "spec.servesEveryModel"),
    ],
)
def test_a_wrong_provider_names_the_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(PROVIDER, provider(**spec))
    assert field in [d.field for d in caught.value.details]


def test_a_model_with_caps_that_do_not_fit_is_refused() -> None:
    prices = {"inputMicroUsdPerMillionTokens": 1, "outputMicroUsdPerMillionTokens": 1}
    spec = {
        "provider": "p", "upstreamId": "x", "tier": "small", "contextTokens": 10, "maxOutputTokens": 11,
        "prices": {**prices, "longContext": {**prices, "aboveInputTokens": 10}},
    }  # fmt: skip
    with pytest.raises(Invalid) as caught:
        decode(MODEL, {"kind": "Model", "metadata": {"name": "m.1"}, "spec": spec})
    assert [d.field for d in caught.value.details] == [
        "spec.maxOutputTokens",
        "spec.prices.longContext.aboveInputTokens",
    ]


def test_columns_and_describe_show_prices_exactly() -> None:
    mini = next(o for o in default_objects() if o["metadata"]["name"] == "gpt-4o-mini")
    assert [c.cell(mini) for c in MODEL.columns[:5]] == ["openrouter", "small", "$0.15", "$0.6", "128000"]
    rows = dict(MODEL.describe(mini)[1].rows)
    assert rows["Cached input"] == "$0.075"
    assert "genai-prices" in rows["Source"]
    assert dict(PROVIDER.describe(default_objects()[1])[0].rows)["URL"] == "$ASPORA_MODEL_URL"
