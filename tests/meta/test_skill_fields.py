"""Nothing in a skill's spec is silently ignored: a changed field changes what Aspora does or draws `Inactive`.

For each leaf of the spec there is a changed value here. The test changes it and looks at everything that follows from a
spec: the plan of an execution, the agent's task, the execution class, `describe`, the columns, the revision's version,
the condition `Healthy`, the checks. If all stay the same, the field must be named in the kind's `inactive` table, which
`apply` warns by.
"""

import copy
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from aspora.access.interface import Caller
from aspora.admission.inactive import Inactive
from aspora.admission.interface import AdmissionRequest
from aspora.apis.decode import decode
from aspora.apis.skill import KIND, SkillSpec
from aspora.apis.skill_class import execution_class
from aspora.controllers.health import decide
from aspora.executor.plan import plan_of
from aspora.executor.skill_agent import agent_task
from aspora.meta.errors import Invalid
from aspora.models.choosing import Task, choose
from aspora.models.defaults import shipped_routing
from aspora.models.limits import Payer, PlatformLimits, charge_of

CALLER = Caller(name="author", kind="user")
SICK = {"succeeded": 50, "failed": 50, "p95Ms": 60_000, "costMicroUsd": 10**9}
"""Numbers that cross every threshold."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PYTHON = {"language": "python", "entryPoint": "code/handler.py"}
MINIMAL: dict[str, Any] = {
    "skillMd": {"name": "toy", "description": "a toy"},
    "artifact": {"digest": "sha256:" + "0" * 64, "sizeBytes": 1, "fileCount": 1},
}

CHANGES: dict[str, Any] = {
    "role": "manager",
    "version": "1.2.3",
    "description": "another",
    "skillMd.name": "other",
    "skillMd.description": "other",
    "skillMd.license": "MIT",
    "skillMd.compatibility": "needs a model",
    "skillMd.metadata": {"k": "v"},
    "skillMd.allowedTools": ["Bash"],
    "artifact.digest": "sha256:" + "1" * 64,
    "artifact.sizeBytes": 2,
    "artifact.fileCount": 2,
    "runtime.language": "typescript",
    "runtime.entryPoint": "code/other.py",
    "runtime.timeoutSeconds": 5,
    "runtime.memoryBytes": 64_000_000,
    "runtime.cpuMillis": 250,
    "runtime.durable": True,
    "model.primary": "gpt-4o",
    "model.fallback": "",
    "model.temperatureMilli": 0,
    "model.maxOutputTokens": 16,
    "model.costBudget.maxPerExecutionMicroUsd": 5,
    "model.costBudget.monthlyLimitMicroUsd": 5,
    "triggers": [{"type": "always"}],
    "permissions.tools": [],
    "permissions.apis": [{"name": "trm", "access": "read"}],
    "permissions.secrets": ["s"],
    "permissions.mcp": [{"name": "m", "access": "read"}],
    "permissions.blockedResources": ["references/x/*"],
    "routing.discoverable": False,
    "routing.keywords": ["k"],
    "routing.examples": ["e"],
    "routing.priority": 5,
    "testing.requiredSuites": ["unit"],
    "testing.minPassRateBp": 5,
    "testing.maxRegressionBp": 5,
    "testing.repeats": 5,
    "testing.judgeModel": "gpt-4o",
    "versioning.strategy": "semver",
    "versioning.rollbackOnError": True,
    "versioning.canaryShareBp": 1000,
    "monitoring.thresholds.errorRateBp": 5,
    "monitoring.thresholds.latencyP95Ms": 5,
    "monitoring.thresholds.costPerExecutionMicroUsd": 5,
    "monitoring.thresholds.minConfidenceBp": 5,
    "monitoring.alertOnFailure": True,
    "monitoring.channels": ["c"],
    "visibility": "private",
    "ownerTeam": "team",
    "costCenter": "cc",
}
PAYER = Payer(domain="d", skill="toy", execution="EXEC-1")
TOGETHER = {"version": {"versioning.strategy": "semver"}, "runtime.language": {"runtime.entryPoint": "code/handler.ts"}}
"""What else a change needs to be valid; the comparison starts from a spec that has it already where it can."""


def model_in(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        inner = model_in(info.annotation)
        if inner is not None and not typing.get_args(info.annotation):
            yield from leaves(inner, path + ".")
        else:
            yield path


def put(spec: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec.setdefault(parent, {})
    spec[last] = value


def wire(spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "toy", "domain": "d", "generation": 1}
    return {"apiVersion": "aspora.dev/v1", "kind": "Skill", "metadata": metadata, "spec": spec}


def full_spec(given: dict[str, Any]) -> dict[str, Any]:
    return SkillSpec.model_validate(given).model_dump(mode="json", by_alias=True, exclude_none=True)


def consequences(given: dict[str, Any], folder: Path) -> Any:
    """Everything that follows from a spec."""
    try:
        decode(KIND, wire(given))
    except Invalid as e:
        return str(e)
    spec = full_spec(given)
    revision = {"metadata": {"name": "r"}, "spec": {"skill": "toy", "version": "v", "skillSpec": spec}}
    plan = plan_of(revision)
    facts: list[Any] = [
        (plan.artifact, plan.entry_point, plan.language, plan.limits, plan.tools),
        charge_of(PAYER, platform=PlatformLimits(), budget=plan.spec.model.cost_budget),
        execution_class(spec),
        [c.cell(wire(spec)) for c in KIND.columns],
        KIND.describe(wire(spec)),
        decide(spec.get("monitoring", {}).get("thresholds", {}), SICK, None),
    ]
    work: Any = SimpleNamespace(plan=plan, folder=folder, input={}, timeout_seconds=1.0)
    model = plan.spec.model
    named = (model.primary, model.fallback) if model.primary else ()
    choice = choose(named, Task(), routing=shipped_routing(), fallback=model.fallback)
    task = agent_task(work, choice.models, dict)
    facts.append({k: v for k, v in task.items() if k != "files"})
    return repr(facts)


async def inactive_warnings(given: dict[str, Any]) -> list[str]:
    request = AdmissionRequest(
        operation="create",
        kind=KIND,
        domain="d",
        name="toy",
        old=None,
        new=wire(full_spec(given)),
        caller=CALLER,
        dry_run=False,
        now=NOW,
    )
    ports: Any = None
    return list((await Inactive(ports).validate(request)).warnings)


def test_every_leaf_of_the_spec_has_a_change() -> None:
    assert sorted(leaves(SkillSpec)) == sorted(CHANGES)


@pytest.mark.parametrize("path", CHANGES)
async def test_a_changed_field_does_something_or_is_said_to_do_nothing(path: str, tmp_path: Path) -> None:
    (tmp_path / "SKILL.md").write_text("---\nname: toy\n---\nDo it.\n")
    before: dict[str, Any] = copy.deepcopy(MINIMAL)
    if path.startswith("runtime.") or path == "versioning.strategy":
        before["runtime"] = dict(PYTHON)
    for other, value in TOGETHER.get(path, {}).items():
        put(before, other, value)
    after = copy.deepcopy(before)
    put(after, path, CHANGES[path])
    changed = consequences(before, tmp_path) != consequences(after, tmp_path)
    named = {f"spec.{path}".rsplit(".", n)[0] for n in range(path.count(".") + 1)}
    warned = any(w.split(":")[1].strip() in named for w in await inactive_warnings(after))
    assert changed or warned, f"spec.{path} is silently ignored"
    if path in {p.removeprefix("spec.") for p in KIND.inactive}:
        assert warned, f"spec.{path} is listed as inactive, yet nothing warns"
