"""Domain: a team's namespace, with its owner, its policy and its caps."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.objects import ApiModel
from aspora.meta.quantities import format_usd


class RoleModels(ApiModel):
    """Names of Models, for each role of a skill; an empty list allows all."""

    manager: list[str] = Field(default_factory=list[str])
    """For managers."""
    specialist: list[str] = Field(default_factory=list[str])
    """For specialists."""
    field: list[str] = Field(default_factory=list[str])
    """For field skills."""


class Quotas(ApiModel):
    """Caps on numbers."""

    max_skills: int | None = Field(default=None, ge=0)
    """Skills in the domain."""
    max_concurrent_executions: int | None = Field(default=None, ge=1)
    """Executions that run at once."""


class ScopeBudget(ApiModel):
    """A cap on what each of something in the domain may spend on models."""

    scope: Literal["domain", "skill", "user", "trigger", "arm"]
    """Of what each has this cap: the domain, a skill, a user, what starts a skill, or a revision's share of traffic."""
    window: Literal["hour", "day", "month"]
    """For how long it holds, in UTC."""
    cap_micro_usd: int = Field(ge=0, le=10**15)
    """The most that may be spent in one window."""


class RateLimits(ApiModel):
    """Caps on numbers of model calls."""

    skill_model_calls_per_hour: int = Field(default=1_000, ge=1, le=10**9)
    """Of each skill."""
    model_calls_per_day: int = Field(default=10_000, ge=1, le=10**9)
    """Of the whole domain."""


class ModelPolicy(ApiModel):
    """What a provider must promise before the domain's data goes there."""

    regions: list[str] = Field(default_factory=list[str], max_length=50)
    """Only these; empty for all."""
    allows_training: bool = True
    """Whether providers may train models on it."""
    max_retention_days: int | None = Field(default=None, ge=0, le=36_500)
    """The longest that they may keep it; absent: any."""


class DomainSpec(ApiModel):
    """What a team and its skills may do."""

    display_name: str = Field(default="", max_length=127)
    """For people; empty: the name."""
    description: str = Field(default="", max_length=4_000)
    """What the domain is about; from DOMAIN.md."""
    owner_team: str | None = Field(default=None, min_length=1, max_length=127)
    """The team that answers for it."""
    cost_center: str | None = Field(default=None, min_length=1, max_length=127)
    """Where its cost is booked."""
    policy_tier: Literal["baseline", "standard", "restricted"] = "baseline"
    """How strict admission is."""
    monthly_budget_micro_usd: int | None = Field(default=None, ge=0, le=10**15)
    """Cap of the domain's spending in a calendar month (UTC)."""
    budgets: list[ScopeBudget] = Field(default_factory=list[ScopeBudget], max_length=50)
    """Further caps on what is spent on models."""
    model_policy: ModelPolicy = Field(default_factory=ModelPolicy)
    """Where the domain's data may go."""
    rate_limits: RateLimits = Field(default_factory=RateLimits)
    """Caps on numbers of model calls."""
    models: RoleModels = Field(default_factory=RoleModels)
    """Models its skills may name."""
    approved_connectors: list[str] = Field(default_factory=list[str])
    """Connectors its skills may call."""
    callable_domains: list[str] = Field(default_factory=list[str])
    """Other domains whose public skills its skills may call."""
    quotas: Quotas = Field(default_factory=Quotas)
    """Caps on numbers."""


_INACTIVE = {
    "spec.policyTier": "admission has one tier so far",
    "spec.approvedConnectors": "there are no connectors yet",
    "spec.callableDomains": "no skill calls another one yet",
    "spec.quotas.maxSkills": "quotas are not enforced yet",
    "spec.quotas.maxConcurrentExecutions": "quotas are not enforced yet",
}


def _budget(obj: Wire) -> str:
    micro_usd = obj["spec"].get("monthlyBudgetMicroUsd")
    return "none" if micro_usd is None else format_usd(micro_usd)


def describe(obj: Wire) -> list[Section]:
    """Who owns it and what holds there."""
    spec: Mapping[str, Any] = obj["spec"]
    rows = (
        ("Display name", str(spec.get("displayName") or obj["metadata"]["name"])),
        ("Description", str(spec.get("description") or "not stated")),
        ("Owner team", str(spec.get("ownerTeam") or "not stated")),
        ("Cost center", str(spec.get("costCenter") or "not stated")),
        ("Policy tier", str(spec.get("policyTier", "baseline"))),
        ("Monthly budget", _budget(obj)),
    )
    return [Section("Domain", rows)]


KIND = Kind(
    kind="Domain",
    plural="domains",
    scope=Scope.CLUSTER,
    spec=DomainSpec,
    short_names=("dom",),
    columns=(
        Column("OWNER", "spec.ownerTeam"),
        Column("TIER", "spec.policyTier"),
        Column("BUDGET/MONTH", _budget),
        Column("DISPLAY NAME", "spec.displayName", wide=True),
        Column("COST CENTER", "spec.costCenter", wide=True),
    ),
    describe=describe,
    inactive=_INACTIVE,
)
