"""Provider: an OpenAI-compatible endpoint that serves models."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus

_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_PATH = r"^/[A-Za-z0-9/{}._~?=&%:@-]*$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


class DataPolicy(ApiModel):
    """What the endpoint does with what it is sent, by its operator's word."""

    retention_days: int | None = Field(default=None, ge=0, le=36_500)
    """For how long it keeps requests; 0: not at all; absent: not known, which no domain that asks accepts."""
    trains: bool = True
    """Whether models may be trained on it."""


class ProviderSpec(ApiModel):
    """Where an endpoint is, how to authenticate, and how patient to be."""

    base_url: str | None = None
    """URL before `/chat/completions`, e.g. `https://openrouter.ai/api/v1`; either this or baseUrlFromEnv."""
    base_url_from_env: str | None = None
    """Environment variable that holds the URL, named `…_MODEL_URL`; while unset the provider is not configured."""
    api_key_from_env: str | None = None
    """Environment variable that holds the key, named `…_API_KEY`."""
    api_key_required: bool = True
    """Whether the provider counts as not configured without a key."""
    serves_every_model: bool = False
    """Whether this provider, once configured, takes over every model, whatever provider the Model names."""
    model_name_from_env: str | None = None
    """Environment variable, named `…_MODEL_NAME`, that replaces every model's upstream id when it is set."""
    api_key_header: str = Field(default="Authorization", pattern=r"^[A-Za-z][A-Za-z-]{0,62}$")
    """The header that carries the key; `Authorization` carries it as a bearer token, any other (`api-key`) as it is."""
    chat_path: str = Field(default="/chat/completions", max_length=500, pattern=_PATH)
    """Below the URL; `{model}` stands for the model's upstream id, e.g.
    `/openai/deployments/{model}/chat/completions?api-version=2024-10-21`."""
    embeddings_path: str = Field(default="/embeddings", max_length=500, pattern=_PATH)
    """Likewise."""
    generation_path: str | None = Field(default=None, max_length=500, pattern=_PATH)
    """Below the URL, where it tells later what an answer cost whose stream was cut short, e.g.
    `/generation?id={id}`; absent: nowhere, and an upper bound of what came is charged."""
    region: str = Field(default="", max_length=63)
    """Where it processes what it is sent, e.g. `eu`; empty: not known, which no domain that asks accepts."""
    data_policy: DataPolicy = Field(default_factory=DataPolicy)
    """What it does with what it is sent."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers sent with each request; never credentials."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name under which the endpoint takes the cap on output tokens."""
    timeout_seconds: int = Field(default=60, ge=1, le=3600)
    """The longest one request may take."""
    connect_timeout_seconds: int = Field(default=10, ge=1, le=120)
    """The longest a connection may take to open."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """How often a request is sent again after 429, 5xx or a broken connection, before the fallback is tried."""
    hedge_after_ms: int | None = Field(default=None, ge=1, le=3_600_000)
    """After how many milliseconds without output the next endpoint is asked too; absent: never. Both may cost."""


def _check_url(url: str) -> list[FieldError]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        return [FieldError("spec.baseUrl", f"{url[:200]!r} is not a URL; write it like https://openrouter.ai/api/v1")]
    if parts.username or parts.password or parts.query or parts.fragment:
        return [
            FieldError("spec.baseUrl", "must hold no user, password, query or fragment; name a key by apiKeyFromEnv")
        ]
    return []


def _check_env_names(spec: ProviderSpec) -> list[FieldError]:
    """Only variables made for this may be named: whoever writes a Provider chooses where their values are sent."""
    names = (
        ("spec.baseUrlFromEnv", spec.base_url_from_env, "_MODEL_URL"),
        ("spec.apiKeyFromEnv", spec.api_key_from_env, "_API_KEY"),
        ("spec.modelNameFromEnv", spec.model_name_from_env, "_MODEL_NAME"),
    )
    errors: list[FieldError] = []
    for field, name, suffix in names:
        if name is None:
            continue
        if not _ENV_NAME.fullmatch(name):
            errors.append(
                FieldError(field, f"{name[:80]!r} is not the name of an environment variable: use A-Z, 0-9 and '_'")
            )
        elif not name.endswith(suffix):
            errors.append(
                FieldError(field, f"{name[:80]!r} does not end in {suffix!r}; no other variable may be sent out")
            )
    return errors


def _check_headers(headers: dict[str, str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, value in headers.items():
        field = f"spec.headers.{name[:40]}"
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
            errors.append(
                FieldError(field, "is not a header; use a token as its name and printable characters as its value")
            )
        elif name.lower() in _CREDENTIAL_HEADERS:
            errors.append(
                FieldError(field, "would put a credential into an object; name its variable by apiKeyFromEnv")
            )
    return errors


def validate(provider: Object[ProviderSpec, ObjectStatus]) -> list[FieldError]:
    """One place for the URL, names that are names, headers without credentials."""
    spec = provider.spec
    errors = _check_env_names(spec) + _check_headers(spec.headers)
    if (spec.base_url is None) == (spec.base_url_from_env is None):
        errors.append(FieldError("spec.baseUrl", "set exactly one of baseUrl and baseUrlFromEnv", "Required"))
    if spec.base_url is not None:
        errors += _check_url(spec.base_url)
    if spec.serves_every_model and spec.base_url_from_env is None:
        errors.append(
            FieldError("spec.servesEveryModel", "needs baseUrlFromEnv, whose variable switches it on and off; set it")
        )
    return errors


def describe(obj: Wire) -> list[Section]:
    """Where requests go and what they need."""
    spec = obj["spec"]
    key = f"from {spec['apiKeyFromEnv']}" if "apiKeyFromEnv" in spec else "none"
    rows = (
        ("URL", _url(obj)),
        ("Key", key + ("" if spec.get("apiKeyRequired", True) else " (optional)")),
        ("Timeout", f"{spec.get('timeoutSeconds', 60)} s, {spec.get('maxRetries', 2)} retries"),
    )
    return [Section("Endpoint", rows)]


def _url(obj: Wire) -> str:
    spec = obj["spec"]
    return str(spec.get("baseUrl") or f"${spec.get('baseUrlFromEnv', '')}")


KIND = Kind(
    kind="Provider",
    plural="providers",
    scope=Scope.CLUSTER,
    spec=ProviderSpec,
    validate=validate,
    columns=(Column("URL", _url), Column("KEY", "spec.apiKeyFromEnv"), Column("RETRIES", "spec.maxRetries", wide=True)),
    describe=describe,
)
