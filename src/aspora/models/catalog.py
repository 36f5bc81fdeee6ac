"""From an alias to the endpoint that serves it: Model and Provider objects plus the executor's environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aspora.apis.domain import ModelPolicy
from aspora.apis.model import ModelSpec
from aspora.apis.provider import ProviderSpec
from aspora.meta.names import did_you_mean
from aspora.meta.urls import is_plain_http_url
from aspora.models.failures import ModelNotConfigured

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an alias's requests go.

    Attributes:
        alias: The Model's name.
        model: The Model's spec.
        provider_name: The Provider's name.
        provider: The Provider's spec.
        base_url: Without a slash at its end.
        upstream_id: The model's name as this endpoint knows it.
        api_key: The credential, or None; never in `repr`.
    """

    alias: str
    model: ModelSpec
    provider_name: str
    provider: ProviderSpec
    base_url: str
    upstream_id: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Missing:
    """A provider that can't be used, and what would do."""

    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a domain demands of the models and providers that its data goes to.

    Attributes:
        models: The aliases it allows; empty for all.
        policy: What providers must promise.
    """

    models: frozenset[str] = frozenset()
    policy: ModelPolicy = field(default_factory=ModelPolicy)

    def objection(self, endpoint: Endpoint) -> str:
        """Why an endpoint may not be asked, and what would do; "" when it may."""
        provider, policy = endpoint.provider, self.policy
        name, kept = f"Provider {endpoint.provider_name!r}", provider.data_policy.retention_days
        if self.models and endpoint.alias not in self.models:
            return f"use one that the domain allows: {', '.join(sorted(self.models))}"
        if policy.regions and provider.region not in policy.regions:
            return f"use a provider in {', '.join(policy.regions)}: {name} is in {provider.region or 'no known region'}"
        if not policy.allows_training and provider.data_policy.trains:
            return f"use a provider that does not train on data, which {name} may"
        if policy.max_retention_days is not None and (kept is None or kept > policy.max_retention_days):
            told = "for an unknown time" if kept is None else f"for {kept} days"
            return f"use a provider that keeps data for at most {policy.max_retention_days} days: {name} does {told}"
        return ""


class Catalog:
    """The models and providers as they are now; immutable, made anew when an object changes.

    Args:
        models: Model objects in wire form.
        providers: Provider objects in wire form.
        environment: Where providers find their URLs and keys.
    """

    def __init__(self, models: Iterable[Wire], providers: Iterable[Wire], *, environment: Mapping[str, str]) -> None:
        self._models = {_name(m): ModelSpec.model_validate(m["spec"]) for m in models}
        self._providers = {_name(p): ProviderSpec.model_validate(p["spec"]) for p in providers}
        self._environment = environment

    @property
    def aliases(self) -> list[str]:
        """All known aliases, sorted."""
        return sorted(self._models)

    def model(self, alias: str) -> ModelSpec:
        """The Model behind an alias.

        Raises:
            ModelNotConfigured: No such alias.
        """
        spec = self._models.get(alias)
        if spec is None:
            raise ModelNotConfigured(
                f"unknown model {alias!r} (a Model object adds an alias){did_you_mean(alias, self._models)}"
            )
        return spec

    def resolve(self, aliases: Iterable[str], *, demands: Demands | None = None) -> list[Endpoint]:
        """The endpoints to try, in order; aliases whose provider is not configured, or not allowed, are left out.

        Args:
            aliases: In order.
            demands: What whoever asks demands of models and providers; None: nothing.

        Raises:
            ModelNotConfigured: An alias is unknown, or none of them may be asked; says what to set.
        """
        endpoints: list[Endpoint] = []
        without: dict[str, list[str]] = {}
        for alias in dict.fromkeys(aliases):
            found = self._resolve_one(alias)
            if isinstance(found, Endpoint) and demands is not None and (objection := demands.objection(found)):
                found = _Missing(objection)
            if isinstance(found, _Missing):
                without.setdefault(found.remedy, []).append(alias)
            else:
                endpoints.append(found)
        if not endpoints:
            told = "; ".join(f"for {', '.join(names)}: {remedy}" for remedy, names in without.items())
            raise ModelNotConfigured(f"no model endpoint is configured {told}")
        return endpoints

    def _resolve_one(self, alias: str) -> Endpoint | _Missing:
        spec = self.model(alias)
        for name, provider in sorted(self._providers.items()):
            if provider.serves_every_model and self._read(provider.base_url_from_env):
                return self._endpoint(alias, spec, name, provider)
        own = self._providers.get(spec.provider)
        if own is None:
            raise ModelNotConfigured(
                f"model {alias!r} names the unknown provider {spec.provider!r}"
                f"{did_you_mean(spec.provider, self._providers)}"
            )
        return self._endpoint(alias, spec, spec.provider, own)

    def _endpoint(self, alias: str, spec: ModelSpec, name: str, provider: ProviderSpec) -> Endpoint | _Missing:
        base_url = provider.base_url or self._read(provider.base_url_from_env)
        api_key = self._read(provider.api_key_from_env)
        if not base_url or (provider.api_key_required and not api_key):
            return _Missing(self._remedy(provider))
        _check_base_url(base_url, variable=provider.base_url_from_env)
        return Endpoint(
            alias=alias,
            model=spec,
            provider_name=name,
            provider=provider,
            base_url=base_url.rstrip("/"),
            upstream_id=self._read(provider.model_name_from_env) or spec.upstream_id,
            api_key=api_key,
        )

    def _read(self, variable: str | None) -> str | None:
        """The variable's value without surrounding blanks; None when unset or empty."""
        return (self._environment.get(variable, "").strip() or None) if variable else None

    def _remedy(self, provider: ProviderSpec) -> str:
        """What to set so that a model runs: the provider's own variables, or one that serves every model."""
        own = [
            v
            for v in (provider.base_url_from_env, provider.api_key_from_env if provider.api_key_required else None)
            if v is not None and not self._read(v)
        ]
        others = [
            p.base_url_from_env
            for _, p in sorted(self._providers.items())
            if p.serves_every_model and p is not provider
        ]
        any_endpoint = "".join(f", or {v} to the URL of any OpenAI-compatible endpoint" for v in others)
        return f"set {' and '.join(own)}{any_endpoint}"


def _name(obj: Wire) -> str:
    return str(obj["metadata"]["name"])


def _check_base_url(url: str, *, variable: str | None) -> None:
    """Check a URL that came from the environment; it is never shown, for it may hold a credential by mistake."""
    if not is_plain_http_url(url):
        raise ModelNotConfigured(
            f"{variable or 'baseUrl'} is not a URL without user, password and query; "
            "write it like http://127.0.0.1:8000/v1"
        )
