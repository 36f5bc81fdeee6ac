"""Skill: the desired state of one skill, made from its folder."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from aspora.apis.cron import cron_problem
from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.apis.skill_class import READ_TOOLS, execution_class
from aspora.apis.skill_sections import (
    Artifact,
    Language,
    ModelChoice,
    Monitoring,
    Permissions,
    RoleName,
    Routing,
    Runtime,
    SkillMd,
    Testing,
    Trigger,
    Versioning,
)
from aspora.meta.errors import FieldError
from aspora.meta.names import did_you_mean, quoted
from aspora.meta.objects import ApiModel, Object, ObjectStatus
from aspora.meta.quantities import format_usd

SUFFIXES: Mapping[Language, tuple[str, ...]] = {
    "python": (".py",),
    "markdown": (),
    "typescript": (".ts", ".mjs", ".js"),
    "go": (".go",),
}
"""Which files a language's handler may be."""

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")

_TRIGGER_NEEDS = {"message": "patterns", "alert": "source", "cron": "schedule", "command": "name"}
_TRIGGER_TAKES = {
    "message": {"patterns"},
    "alert": {"source", "filter"},
    "cron": {"schedule", "input"},
    "command": {"name"},
    "always": set[str](),
}


class SkillSpec(ApiModel):
    """A skill as its authors want it: what its folder says, with every default."""

    role: RoleName = "specialist"
    """What the skill may load: a manager never loads field resources, a field skill never computes batch scores."""
    version: str | None = Field(default=None, max_length=63)
    """Semantic version; only with the strategy `semver`."""
    description: str | None = Field(default=None, min_length=1, max_length=2_000)
    """For people, in place of SKILL.md's description."""
    skill_md: SkillMd
    """The front matter of SKILL.md."""
    artifact: Artifact
    """The packed folder."""
    runtime: Runtime = Field(default_factory=Runtime)
    """How it is run."""
    model: ModelChoice = Field(default_factory=ModelChoice)
    """Which model answers."""
    triggers: list[Trigger] = Field(default_factory=list[Trigger], max_length=100)
    """What starts it besides a request that names it."""
    permissions: Permissions = Field(default_factory=Permissions)
    """What it may reach."""
    routing: Routing = Field(default_factory=Routing)
    """How requests find it."""
    testing: Testing = Field(default_factory=Testing)
    """What its tests must show."""
    versioning: Versioning = Field(default_factory=Versioning)
    """How it is versioned and released."""
    monitoring: Monitoring = Field(default_factory=Monitoring)
    """What is watched."""
    visibility: Literal["private", "domain", "public"] = "domain"
    """Who may find and call it: its owners, its domain, or every domain."""
    owner_team: str | None = Field(default=None, min_length=1, max_length=127)
    """The team that answers for it."""
    cost_center: str | None = Field(default=None, min_length=1, max_length=127)
    """Where its cost is booked."""


class SkillStatus(ObjectStatus):
    """What the controller has made of a skill."""

    latest_revision: str | None = None
    """Name of the Revision of the observed spec."""
    latest_version: str | None = None
    """That Revision's version: the spec's own, or with the strategy `timestamp` when it was made (UTC)."""


ROLLED_BACK = "RolledBack"
SERVES_OTHERS_TOO = "ServesOtherRevisions"
"""Reasons of the condition `Ready`: production serves other revisions alone, or beside the latest."""

_SERVED = {ROLLED_BACK: " (rolled back)", SERVES_OTHERS_TOO: " (in part)"}

_LATER = {
    "spec.role": "role limits are not enforced yet; the role is only shown",
    "spec.triggers": "no trigger starts a skill yet; run it by name",
    "spec.visibility": "access goes by roles alone so far",
    "spec.skillMd.allowedTools": "kept for other agents; permissions.tools decides here",
    "spec.permissions.secrets": "no connector uses secrets yet",
    "spec.permissions.mcp": "no MCP server can be called yet; only the execution class goes by it",
    "spec.versioning.rollbackOnError": "rollback is by hand so far: `aspora rollback`",
    "spec.versioning.canaryShareBp": "a new revision gets all the traffic at once so far",
}


_JUDGED = {f"monitoring.thresholds.{name}" for name in ("errorRateBp", "latencyP95Ms", "costPerExecutionMicroUsd")}
"""Thresholds by which the condition `Healthy` goes."""


def _inactive() -> Iterator[tuple[str, str]]:
    yield from _LATER.items()
    for section, model, why in (
        ("routing", Routing, "requests reach a skill by its name alone so far"),
        ("testing", Testing, "releases do not look at test results yet; run `aspora test`"),
        ("monitoring", Monitoring, "nothing raises alerts yet"),
    ):
        for path in _leaves(model):
            if f"{section}.{path}" not in _JUDGED:
                yield f"spec.{section}.{path}", why


def _leaves(model: type[ApiModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        inner = info.annotation if isinstance(info.annotation, type) else None
        if inner is not None and issubclass(inner, ApiModel):
            yield from (f"{info.alias or name}.{path}" for path in _leaves(inner))
        else:
            yield info.alias or name


def _unknown_tools(obj: Wire) -> Iterator[tuple[str, str]]:
    """A tool that the host does not have is permitted in vain; a later host may have it."""
    for tool in _part(obj["spec"], "permissions").get("tools", []):
        if tool not in READ_TOOLS:
            yield "spec.permissions.tools", f"there is no tool {quoted(tool)}{did_you_mean(tool, READ_TOOLS)}"


def validate(skill: Object[SkillSpec, SkillStatus]) -> list[FieldError]:
    """Runtime, version and triggers that fit together."""
    return [*_check_runtime(skill.spec.runtime), *_check_version(skill.spec), *_check_triggers(skill.spec.triggers)]


def _check_runtime(runtime: Runtime) -> Iterator[FieldError]:
    entry_point, suffixes = runtime.entry_point, SUFFIXES[runtime.language]
    if runtime.language == "markdown":
        if entry_point is not None:
            yield FieldError("spec.runtime.entryPoint", "a markdown skill has no handler; leave it out or set language")
        return
    if entry_point is None:
        yield FieldError("spec.runtime.entryPoint", f"is required for {runtime.language!r}", "Required")
    elif not entry_point.endswith(suffixes):
        expected = " or ".join(suffixes)
        yield FieldError(
            "spec.runtime.entryPoint", f"{quoted(entry_point)} is not {runtime.language}: it must end in {expected}"
        )
    if entry_point is not None and (problem := entry_point_problem(entry_point)):
        yield FieldError("spec.runtime.entryPoint", f"{quoted(entry_point)} {problem}")


def entry_point_problem(path: str) -> str:
    """Why a path can't name a file of the folder: it must be relative and plain, with `/`; "" when it can."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        return "leaves the skill's folder; name a file inside it, with '/'"
    if "\\" in path or "\0" in path:
        return "holds a backslash or a NUL; write the path with '/'"
    if plain := "/".join(part for part in parts if part not in {"", "."}):
        return "" if plain == path else f"is not written plainly; write {quoted(plain)}"
    return "names no file; name one inside the skill's folder, such as 'code/handler.py'"


def _check_version(spec: SkillSpec) -> Iterator[FieldError]:
    if spec.versioning.strategy == "timestamp":
        if spec.version is not None:
            yield FieldError("spec.version", "the strategy 'timestamp' stamps versions; leave it out or use 'semver'")
    elif spec.version is None:
        yield FieldError("spec.version", "is required by the strategy 'semver', e.g. 1.0.0", "Required")
    elif not _SEMVER.fullmatch(spec.version):
        yield FieldError("spec.version", f"{quoted(spec.version)} is not a semantic version; write it like 1.4.2")


def _check_triggers(triggers: list[Trigger]) -> Iterator[FieldError]:
    for i, trigger in enumerate(triggers):
        needed = _TRIGGER_NEEDS.get(trigger.type)
        given = {name for name in Trigger.model_fields if name != "type" and getattr(trigger, name)}
        if needed is not None and needed not in given:
            yield FieldError(f"spec.triggers[{i}].{needed}", f"is required for a {trigger.type!r} trigger", "Required")
        for name in sorted(given - _TRIGGER_TAKES[trigger.type]):
            takes = ", ".join(sorted(_TRIGGER_TAKES[trigger.type])) or "nothing else"
            yield FieldError(
                f"spec.triggers[{i}].{name}",
                f"does not go with a {trigger.type!r} trigger, which takes {takes}; leave it out",
            )
        if trigger.schedule is not None and (problem := cron_problem(trigger.schedule)):
            yield FieldError(f"spec.triggers[{i}].schedule", problem)


def _condition(obj: Wire, type_: str) -> Mapping[str, Any]:
    conditions: list[dict[str, Any]] = (obj.get("status") or {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), {})


def _ready(obj: Wire) -> str:
    return str(_condition(obj, "Ready").get("status", "Unknown"))


def _healthy(obj: Wire) -> str:
    """Whether it keeps its thresholds, and which one it does not; the numbers behind it are records."""
    condition = _condition(obj, "Healthy")
    if condition.get("status") == "False":
        return f"False: {condition['reason']}"
    return str(condition.get("status", "-"))


def _health_told(obj: Wire) -> str:
    condition = _condition(obj, "Healthy")
    if not condition:
        return "not known yet: set monitoring.thresholds, and it is judged once enough executions have ended"
    why = condition.get("message") or condition["reason"]
    return str(condition["status"]) if condition["status"] == "True" else f"{condition['status']}: {why}"


def _version(obj: Wire) -> str:
    return str(obj["spec"].get("version") or (obj.get("status") or {}).get("latestVersion") or "-")


def _version_served(obj: Wire) -> str:
    """The latest version, and whether production serves another one."""
    return _version(obj) + _SERVED.get(str(_condition(obj, "Ready").get("reason")), "")


def _part(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return spec.get(name) or {}


def describe(obj: Wire) -> list[Section]:
    """What it is, how it runs, which model answers, what it may reach."""
    spec: Mapping[str, Any] = obj["spec"]
    status: Mapping[str, Any] = obj.get("status") or {}
    facts, artifact = _part(spec, "skillMd"), _part(spec, "artifact")
    about = (
        ("SKILL.md name", str(facts.get("name", ""))),
        ("Description", str(spec.get("description") or facts.get("description", ""))),
        ("Role", str(spec.get("role", "specialist"))),
        ("Version", _version(obj)),
        ("Latest revision", str(status.get("latestRevision") or "none yet")),
        ("Healthy", _health_told(obj)),
        ("Owner team", str(spec.get("ownerTeam") or "not stated")),
        ("Cost center", str(spec.get("costCenter") or "not stated")),
        ("License", str(facts.get("license") or "not stated")),
        ("Compatibility", str(facts.get("compatibility") or "not stated")),
        *((f"Metadata {key}", str(value)) for key, value in sorted(_part(facts, "metadata").items())),
    )
    contents = (
        ("Digest", str(artifact.get("digest", ""))),
        ("Contents", f"{artifact.get('sizeBytes', 0)} bytes in {artifact.get('fileCount', 0)} files"),
    )
    return [
        Section("Skill", about),
        Section("Runtime", _runtime_rows(spec)),
        Section("Model", _model_rows(_part(spec, "model"))),
        Section("Permissions", tuple(_permission_rows(_part(spec, "permissions")))),
        Section("Artifact", contents),
    ]


def _runtime_rows(spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    runtime = _part(spec, "runtime")
    chosen = execution_class(spec)
    return (
        ("Language", str(runtime.get("language", "markdown"))),
        ("Handler", str(runtime.get("entryPoint") or "none: the agent loop over SKILL.md")),
        ("Class", f"{chosen.name}: {chosen.why}"),
        ("Timeout", f"{runtime.get('timeoutSeconds', 0)} s"),
        ("Memory", f"{runtime.get('memoryBytes', 0) / 1_000_000:g} MB"),
        ("CPU", f"{runtime.get('cpuMillis', 0) / 1000:g}"),
    )


def _model_rows(model: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    budget = _part(model, "costBudget")
    return (
        ("Primary", str(model.get("primary") or "chosen by ModelRouting default")),
        ("Fallback", str(model.get("fallback") or "none")),
        ("Temperature", f"{model.get('temperatureMilli', 0) / 1000:g}"),
        ("Longest answer", f"{model.get('maxOutputTokens', 0)} tokens"),
        ("Cap per execution", format_usd(budget.get("maxPerExecutionMicroUsd", 0))),
    )


def _permission_rows(permissions: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Tools", ", ".join(permissions.get("tools", [])) or "none"
    for label, key in (("APIs", "apis"), ("MCP", "mcp")):
        if granted := permissions.get(key):
            yield label, ", ".join(f"{a['name']} ({a.get('access', 'write')})" for a in granted)
    if secrets := permissions.get("secrets"):
        yield "Secrets", ", ".join(secrets)


KIND = Kind(
    kind="Skill",
    plural="skills",
    scope=Scope.DOMAIN,
    spec=SkillSpec,
    status=SkillStatus,
    short_names=("sk",),
    validate=validate,
    columns=(
        Column("ROLE", "spec.role"),
        Column("VERSION", _version_served),
        Column("READY", _ready),
        Column("RUNTIME", "spec.runtime.language"),
        Column("CLASS", lambda o: execution_class(o["spec"]).name),
        Column("HEALTHY", _healthy, wide=True),
        Column("REVISION", "status.latestRevision", wide=True),
        Column("OWNER", "spec.ownerTeam", wide=True),
    ),
    describe=describe,
    inactive=dict(_inactive()),
    inactive_values=_unknown_tools,
)
