"""Authors' keys and the wire fields they set: the one table that the loader, the documentation and the errors read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aspora.apis.domain import KIND as DOMAIN
from aspora.apis.fields import FieldDoc, explain
from aspora.apis.kind import Kind
from aspora.apis.skill import KIND as SKILL
from aspora.skills import forms
from aspora.skills.forms import Form

Keys = Mapping[str, "tuple[str, Form]"]
"""Author's key with dots → wire path below `spec` and how the value is written."""

SKILL_KEYS: Keys = {
    "skill.role": ("role", forms.TEXT),
    "skill.version": ("version", forms.TEXT),
    "skill.description": ("description", forms.TEXT),
    "runtime.language": ("runtime.language", forms.TEXT),
    "runtime.entry_point": ("runtime.entryPoint", forms.TEXT),
    "runtime.timeout": ("runtime.timeoutSeconds", forms.DURATION),
    "runtime.memory": ("runtime.memoryBytes", forms.SIZE),
    "runtime.cpu": ("runtime.cpuMillis", forms.MILLI),
    "runtime.durable": ("runtime.durable", forms.BOOL),
    "model.primary": ("model.primary", forms.TEXT),
    "model.fallback": ("model.fallback", forms.OPTIONAL_TEXT),
    "model.temperature": ("model.temperatureMilli", forms.MILLI),
    "model.max_tokens": ("model.maxOutputTokens", forms.INT),
    "model.cost_budget.max_per_execution": ("model.costBudget.maxPerExecutionMicroUsd", forms.USD),
    "model.cost_budget.monthly_limit": ("model.costBudget.monthlyLimitMicroUsd", forms.USD),
    "permissions.tools": ("permissions.tools", forms.TEXTS),
    "permissions.apis": ("permissions.apis", forms.ACCESSES),
    "permissions.secrets": ("permissions.secrets", forms.TEXTS),
    "permissions.mcp": ("permissions.mcp", forms.ACCESSES),
    "permissions.blocked_resources": ("permissions.blockedResources", forms.TEXTS),
    "routing.discoverable": ("routing.discoverable", forms.BOOL),
    "routing.keywords": ("routing.keywords", forms.TEXTS),
    "routing.examples": ("routing.examples", forms.TEXTS),
    "routing.priority": ("routing.priority", forms.INT),
    "testing.required_suites": ("testing.requiredSuites", forms.TEXTS),
    "testing.min_pass_rate": ("testing.minPassRateBp", forms.SHARE),
    "testing.max_regression": ("testing.maxRegressionBp", forms.SHARE),
    "testing.repeats": ("testing.repeats", forms.INT),
    "testing.judge_model": ("testing.judgeModel", forms.TEXT),
    "versioning.strategy": ("versioning.strategy", forms.TEXT),
    "versioning.rollback_on_error": ("versioning.rollbackOnError", forms.BOOL),
    "versioning.canary_percentage": ("versioning.canaryShareBp", forms.PERCENT),
    "monitoring.thresholds.error_rate": ("monitoring.thresholds.errorRateBp", forms.SHARE),
    "monitoring.thresholds.latency_p95": ("monitoring.thresholds.latencyP95Ms", forms.MILLISECONDS),
    "monitoring.thresholds.cost_per_execution": ("monitoring.thresholds.costPerExecutionMicroUsd", forms.USD),
    "monitoring.thresholds.min_confidence": ("monitoring.thresholds.minConfidenceBp", forms.SHARE),
    "monitoring.alert_on_failure": ("monitoring.alertOnFailure", forms.BOOL),
    "monitoring.channels": ("monitoring.channels", forms.TEXTS),
    "visibility": ("visibility", forms.TEXT),
    "owner_team": ("ownerTeam", forms.TEXT),
    "cost_center": ("costCenter", forms.TEXT),
}

TRIGGER_KEYS: Keys = {
    "type": ("type", forms.TEXT),
    "patterns": ("patterns", forms.TEXTS),
    "source": ("source", forms.TEXT),
    "filter": ("filter", forms.FILTER),
    "schedule": ("schedule", forms.TEXT),
    "input": ("input", forms.JSON_MAP),
    "name": ("name", forms.TEXT),
}

DOMAIN_KEYS: Keys = {
    "display_name": ("displayName", forms.TEXT),
    "description": ("description", forms.TEXT),
    "owner_team": ("ownerTeam", forms.TEXT),
    "cost_center": ("costCenter", forms.TEXT),
    "policy_tier": ("policyTier", forms.TEXT),
    "monthly_budget": ("monthlyBudgetMicroUsd", forms.USD),
    "models.manager": ("models.manager", forms.TEXTS),
    "models.specialist": ("models.specialist", forms.TEXTS),
    "models.field": ("models.field", forms.TEXTS),
    "approved_connectors": ("approvedConnectors", forms.TEXTS),
    "callable_domains": ("callableDomains", forms.TEXTS),
    "quotas.max_skills": ("quotas.maxSkills", forms.INT),
    "quotas.max_concurrent_executions": ("quotas.maxConcurrentExecutions", forms.INT),
}

IDENTITY_KEYS = ("skill.name", "skill.domain")
"""Keys that only confirm what the path says."""

LIST_KEYS: Mapping[str, Keys] = {"triggers": TRIGGER_KEYS}
"""Keys whose value is a list of maps, with the keys of each map."""


@dataclass(frozen=True, slots=True)
class KeyDoc:
    """One key for the reference pages.

    Attributes:
        key: As authors write it; `triggers[].type` within lists.
        form: How its value is written.
        example: A value.
        field: The wire field it sets, with its default, description, limits and whether it works yet.
    """

    key: str
    form: str
    example: str
    field: FieldDoc


def skill_key_docs() -> Iterator[KeyDoc]:
    """All keys of aspora.config.yaml, in the table's order."""
    yield from _docs(SKILL, SKILL_KEYS, key_prefix="", wire_prefix="")
    for name, keys in LIST_KEYS.items():
        yield from _docs(SKILL, keys, key_prefix=f"{name}[].", wire_prefix=f"{name}.")


def domain_key_docs() -> Iterator[KeyDoc]:
    """All keys of domain.yaml, in the table's order."""
    yield from _docs(DOMAIN, DOMAIN_KEYS, key_prefix="", wire_prefix="")


def _docs(kind: Kind, keys: Keys, *, key_prefix: str, wire_prefix: str) -> Iterator[KeyDoc]:
    for key, (wire, form) in keys.items():
        parent, _, name = f"spec.{wire_prefix}{wire}".rpartition(".")
        field = next(f for f in explain(kind, parent)[1] if f.name == name)
        yield KeyDoc(f"{key_prefix}{key}", form.name, form.example, field)
