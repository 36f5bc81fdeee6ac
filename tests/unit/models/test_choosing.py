"""Which models are asked, and why."""

from typing import Any

import pytest

from aspora.apis.model_routing import ModelRoutingSpec, TaskType
from aspora.models.choosing import BudgetLeft, Task, choose, complexity_of, needs_budget, routing_of
from aspora.models.defaults import shipped_routing

SHIPPED = shipped_routing()
LARGE = 50_000


def rules(*given: dict[str, Any], **more: Any) -> ModelRoutingSpec:
    named = [{"name": f"r{i}", **rule} for i, rule in enumerate(given)]
    return ModelRoutingSpec.model_validate({"rules": named, **more})


@pytest.mark.parametrize(
    ("task", "model", "by"),
    [
        (Task(type=TaskType.CLASSIFICATION, input_tokens=LARGE), "claude-haiku-4-5", "rule sort-cheaply"),
        (Task(input_tokens=500, complexity="low"), "gpt-4o-mini", "rule small-and-simple"),
        (Task(input_tokens=LARGE, requires_reasoning=True), "claude-sonnet-4-5", "rule reason-well"),
        (Task(type=TaskType.ROUTING, input_tokens=LARGE), "claude-haiku-4-5", "task routing"),
        (Task(input_tokens=LARGE), "claude-sonnet-4-5", "task skill_execution"),
        (Task(type=TaskType.COMPLEX_REASONING, input_tokens=LARGE), "claude-opus-4-6", "task complex_reasoning"),
        (Task(type=TaskType.EMBEDDING, input_tokens=LARGE), "text-embedding-3-small", "task embedding"),
        (Task(type=TaskType.JUDGING, input_tokens=LARGE), "claude-sonnet-4-5", "task judging"),
    ],
)
def test_what_is_shipped(task: Task, model: str, by: str) -> None:
    choice = choose((), task, routing=SHIPPED)
    assert (choice.models[0], choice.route["decidedBy"]) == (model, by)


@pytest.mark.parametrize(
    "named", [("gpt-4o", "gpt-4o-mini"), ("gpt-4o", "", "gpt-4o-mini"), ("gpt-4o", "gpt-4o", "gpt-4o-mini")]
)
def test_a_name_wins_with_its_own_fallback(named: tuple[str, ...]) -> None:
    choice = choose(named, Task(input_tokens=1, complexity="low"), routing=SHIPPED)
    assert choice.models == ("gpt-4o", "gpt-4o-mini")
    assert choice.route["decidedBy"] == "name"
    assert {r["verdict"] for r in choice.route["rules"]} == {"not asked: a model is named"}


def test_auto_is_no_name() -> None:
    assert choose(("auto",), Task(input_tokens=LARGE), routing=SHIPPED).models[0] == "claude-sonnet-4-5"


def test_the_first_true_rule_decides_and_each_verdict_is_kept() -> None:
    routing = rules(
        {"when": "1 / (task.input_tokens - 5) == 2", "model": "a"},
        {"when": "task.type == 'judging'", "model": "b"},
        {"when": "domain == 'ecm' && skill == 's'", "model": "c"},
        {"when": "true", "model": "d"},
    )
    choice = choose((), Task(input_tokens=5, domain="ecm", skill="s"), routing=routing)
    assert choice.models == ("c",)
    verdicts = {r["rule"]: r["verdict"] for r in choice.route["rules"]}
    assert verdicts == {"r0": "failed: INVALID_ARGUMENT: divide by zero", "r1": "false", "r2": "true"}


def test_a_rule_for_all_comes_before_a_name_which_is_tried_next() -> None:
    routing = rules({"when": "budget.left_ratio < 0.1", "model": "cheap", "appliesTo": "all"})
    assert needs_budget(routing)
    assert choose(("dear",), Task(), routing=routing, left=BudgetLeft(5, 0.05)).models == ("cheap", "dear")
    assert choose(("dear",), Task(), routing=routing, left=BudgetLeft(5, 0.5)).models == ("dear",)
    assert choose(("dear",), Task(), routing=routing).models == ("dear",), "without a cap all is left"


def test_the_default_applies_last() -> None:
    choice = choose((), Task(), routing=routing_of(None), fallback="other")
    assert (choice.models, choice.route["decidedBy"]) == (("claude-sonnet-4-5", "other"), "default")


@pytest.mark.parametrize(
    ("tokens", "tools", "expected"), [(1_999, 0, "low"), (2_000, 0, "medium"), (10, 1, "medium"), (10, 8, "high")]
)
def test_how_hard_a_task_looks(tokens: int, tools: int, expected: str) -> None:
    assert complexity_of(input_tokens=tokens, tools=tools) == expected
    assert complexity_of(input_tokens=32_000, tools=0) == "high"
