"""Which models are asked, in which order, and why. Pure.

Who names a model gets it. Else the first rule that is true decides, then the type of the task, then the platform's
default; a rule for `all` comes even before a name. What came of each step is kept with every call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from aspora.apis.model_routing import LANGUAGE, ModelRoutingSpec, ModelRule, TaskType
from aspora.rules.expressions import Expression

AUTO: Final = "auto"
"""The name that stands for none."""

Complexity = Literal["low", "medium", "high"]
NO_CAP_MICRO_USD: Final = 2**62
_LOW_TOKENS, _HIGH_TOKENS, _MANY_TOOLS = 2_000, 32_000, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done, as rules see it.

    Attributes:
        input_tokens: At most so many.
    """

    type: TaskType = TaskType.SKILL_EXECUTION
    input_tokens: int = 0
    complexity: Complexity = "medium"
    requires_reasoning: bool = False
    domain: str = ""
    skill: str = ""


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What is left under the tightest cap on money; without one, all."""

    micro_usd: int = NO_CAP_MICRO_USD
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The models to ask, in order, and how that came about.

    Attributes:
        route: JSON: `asked` (by name), `task`, `rules` (each with its verdict), `decidedBy`, `models`.
    """

    models: tuple[str, ...]
    route: Mapping[str, Any] = field(default_factory=dict[str, Any])


def complexity_of(*, input_tokens: int, tools: int) -> Complexity:
    """How hard a task looks: `high` from 32 000 tokens or 8 tools, `low` below 2000 tokens without a tool."""
    if input_tokens >= _HIGH_TOKENS or tools >= _MANY_TOOLS:
        return "high"
    return "low" if input_tokens < _LOW_TOKENS and not tools else "medium"


def routing_of(obj: Mapping[str, Any] | None) -> ModelRoutingSpec:
    """The spec of the ModelRouting that counts; without one, no rules and the built-in default model."""
    return ModelRoutingSpec() if obj is None else ModelRoutingSpec.model_validate(obj["spec"])


def needs_budget(routing: ModelRoutingSpec) -> bool:
    """Whether some rule asks what is left."""
    return any("budget." in rule.when for rule in routing.rules)


def choose(
    named: Sequence[str],
    task: Task,
    *,
    routing: ModelRoutingSpec,
    fallback: str = "",
    left: BudgetLeft | None = None,
) -> Choice:
    """Decide.

    Args:
        named: The models that the caller or the skill names, in order; empty or `auto` for none.
        task: What is to be done.
        routing: The rules and defaults.
        fallback: Tried after a model that is chosen here; "": the platform's.
        left: What may still be spent; None: nobody asked.
    """
    fallback = fallback or routing.fallback_model
    given = tuple(name for name in dict.fromkeys(named) if name and name != AUTO)
    verdicts: list[dict[str, Any]] = []
    decided = _by_rule(routing, task, left or BudgetLeft(), is_named=bool(given), verdicts=verdicts)
    if decided is not None:
        by, first = f"rule {decided.name}", decided.model
        rest = given if given else (fallback,)
    elif given:
        by, first, rest = "name", given[0], given[1:]
    elif model := routing.tasks.of(task.type):
        by, first, rest = f"task {task.type}", model, (fallback,)
    else:
        by, first, rest = "default", routing.default_model, (fallback,)
    models = tuple(dict.fromkeys(name for name in (first, *rest) if name))
    return Choice(models, _route(given, task, by, models, verdicts))


def _by_rule(
    routing: ModelRoutingSpec, task: Task, left: BudgetLeft, *, is_named: bool, verdicts: list[dict[str, Any]]
) -> ModelRule | None:
    values = {
        "task.type": task.type.value,
        "task.input_tokens": task.input_tokens,
        "task.complexity": task.complexity,
        "task.requires_reasoning": task.requires_reasoning,
        "budget.left_micro_usd": left.micro_usd,
        "budget.left_ratio": left.ratio,
        "domain": task.domain,
        "skill": task.skill,
    }
    for rule in routing.rules:
        if is_named and rule.applies_to != "all":
            verdicts.append({"rule": rule.name, "verdict": "not asked: a model is named"})
            continue
        verdict = _compiled(rule.when).evaluate(values)
        said = "true" if verdict.is_true else f"failed: {verdict.problem}" if verdict.problem else "false"
        verdicts.append({"rule": rule.name, "verdict": said})
        if verdict.is_true:
            return rule
    return None


@lru_cache(maxsize=512)
def _compiled(text: str) -> Expression:
    return LANGUAGE.compile(text)


def _route(
    given: tuple[str, ...], task: Task, by: str, models: tuple[str, ...], verdicts: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "asked": list(given),
        "task": {
            "type": task.type.value,
            "inputTokens": task.input_tokens,
            "complexity": task.complexity,
            "requiresReasoning": task.requires_reasoning,
        },
        "rules": verdicts,
        "decidedBy": by,
        "models": list(models),
    }
