"""ModelRouting: which model is asked when nobody names one, and when a cheaper one will do."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus
from aspora.rules.expressions import ExpressionInvalid, Language, ValueType

DEFAULT_NAME: Final = "default"
"""The one that counts."""


class TaskType(StrEnum):
    """What a model is asked to do."""

    CLASSIFICATION = "classification"
    ROUTING = "routing"
    SKILL_EXECUTION = "skill_execution"
    COMPLEX_REASONING = "complex_reasoning"
    EMBEDDING = "embedding"
    JUDGING = "judging"


VARIABLES: Final = {
    "task.type": ValueType.TEXT,
    "task.input_tokens": ValueType.WHOLE,
    "task.complexity": ValueType.TEXT,
    "task.requires_reasoning": ValueType.FLAG,
    "budget.left_micro_usd": ValueType.WHOLE,
    "budget.left_ratio": ValueType.NUMBER,
    "domain": ValueType.TEXT,
    "skill": ValueType.TEXT,
}
LANGUAGE: Final = Language(VARIABLES)


class TaskModels(ApiModel):
    """The Model for each type of task, when no rule matches."""

    classification: str = Field(default="", max_length=63)
    """Sorting into classes; empty: the default model."""
    routing: str = Field(default="", max_length=63)
    """Finding who should answer; empty: the default model."""
    skill_execution: str = Field(default="", max_length=63)
    """Running a skill; empty: the default model."""
    complex_reasoning: str = Field(default="", max_length=63)
    """What needs long thought; empty: the default model."""
    embedding: str = Field(default="", max_length=63)
    """Turning texts into vectors; empty: the default model."""
    judging: str = Field(default="", max_length=63)
    """Grading answers; empty: the default model."""

    def of(self, task: TaskType) -> str:
        """The model of a type; "" for none."""
        return str(getattr(self, task.value))


class ModelRule(ApiModel):
    """One rule."""

    name: str = Field(min_length=1, max_length=63)
    """For people: what the rule is for."""
    when: str = Field(min_length=1, max_length=2000)
    """CEL over task.type, task.input_tokens, task.complexity (low, medium, high), task.requires_reasoning,
    budget.left_micro_usd, budget.left_ratio (1.0 where there is no cap), domain and skill."""
    model: str = Field(min_length=1, max_length=63)
    """The Model that is asked when it is true."""
    applies_to: Literal["unnamed", "all"] = "unnamed"
    """`all`: also in place of a model that the caller or the skill names."""


class ModelRoutingSpec(ApiModel):
    """How a model is chosen: a named one first, then the first rule that is true, then the task's, then the default."""

    rules: list[ModelRule] = Field(default_factory=list[ModelRule], max_length=100)
    """Looked at in order; the first that is true decides."""
    tasks: TaskModels = Field(default_factory=TaskModels)
    """By type of task."""
    default_model: str = Field(default="claude-sonnet-4-5", min_length=1, max_length=63)
    """When nothing else decides."""
    fallback_model: str = Field(default="", max_length=63)
    """Tried after a model that was chosen here; empty for none."""


def validate(routing: Object[ModelRoutingSpec, ObjectStatus]) -> list[FieldError]:
    """The one that counts has a name, rules have names of their own, and each is an expression that can be used."""
    errors = list(_check_rules(routing.spec.rules))
    if routing.metadata.name != DEFAULT_NAME:
        errors.append(FieldError("metadata.name", f"must be {DEFAULT_NAME!r}: one ModelRouting counts for all"))
    return errors


def _check_rules(rules: list[ModelRule]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, rule in enumerate(rules):
        if rule.name in seen:
            yield FieldError(f"spec.rules[{i}].name", f"{rule.name!r} appears twice; name each rule once", "Duplicate")
        seen.add(rule.name)
        try:
            LANGUAGE.compile(rule.when)
        except ExpressionInvalid as error:
            yield FieldError(f"spec.rules[{i}].when", str(error))


def _default(obj: Wire) -> str:
    return str(obj["spec"].get("defaultModel", "claude-sonnet-4-5"))


def describe(obj: Wire) -> list[Section]:
    """The rules in order, then the tasks."""
    spec = obj["spec"]
    rules = tuple(
        (rule["name"], f"{rule['model']} when {rule['when']}" + (" (named ones too)" if _is_for_all(rule) else ""))
        for rule in spec.get("rules", [])
    )
    tasks = tuple((name, str(model)) for name, model in spec.get("tasks", {}).items() if model)
    last = (("Default", _default(obj)), ("Fallback", str(spec.get("fallbackModel") or "none")))
    return [Section("Rules", rules), Section("Tasks", tasks), Section("Otherwise", last)]


def _is_for_all(rule: Wire) -> bool:
    return rule.get("appliesTo") == "all"


KIND = Kind(
    kind="ModelRouting",
    plural="modelroutings",
    scope=Scope.CLUSTER,
    spec=ModelRoutingSpec,
    validate=validate,
    columns=(
        Column("RULES", lambda o: str(len(o["spec"].get("rules", [])))),
        Column("DEFAULT", _default),
        Column("FALLBACK", "spec.fallbackModel"),
    ),
    describe=describe,
)
