"""Every bundled skill: a strict Agent Skill with what its form promises, and its golden cases in real processes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aspora_sdk import SkillTestCase, load_test_cases

SKILLS = Path(__file__).parents[3] / "skills"
FOLDERS = sorted(path.parent for path in SKILLS.glob("*/*/SKILL.md"))
IDS = [f"{folder.parent.name}/{folder.name}" for folder in FOLDERS]
WITH_HANDLER = [skill_id for skill_id, folder in zip(IDS, FOLDERS, strict=True) if (folder / "code").is_dir()]
CASES = [
    pytest.param(skill_id, case, id=f"{skill_id}-{case.id}")
    for skill_id in WITH_HANDLER
    for case in load_test_cases(SKILLS / skill_id / "tests" / "golden.jsonl")
]
STANDARD_FIELDS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}


def front_matter(folder: Path) -> dict[str, Any]:
    text = (folder / "SKILL.md").read_text(encoding="utf-8")
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert head, folder
    return yaml.safe_load(head[1])


def test_the_bundled_skills_are_these() -> None:
    assert IDS == [
        "ecm/order-details",
        "fraud/detect-velocity",
        "support/summarise-ticket",
        "wealth/create-goal",
        "wealth/fx-timing",
    ]
    assert sorted(set(IDS) - set(WITH_HANDLER)) == ["support/summarise-ticket"]


@pytest.mark.parametrize("folder", FOLDERS, ids=IDS)
def test_skill_md_is_a_strict_agent_skill(folder: Path) -> None:
    head = front_matter(folder)
    assert set(head) <= STANDARD_FIELDS
    assert head["name"] == folder.name
    assert 1 <= len(head["description"]) <= 1024
    assert all(isinstance(value, str) for value in head["metadata"].values())
    assert head["metadata"]["aspora-role"] in ("manager", "specialist", "field")


@pytest.mark.parametrize("skill_id", WITH_HANDLER)
def test_the_config_agrees_with_the_folder(skill_id: str) -> None:
    folder = SKILLS / skill_id
    config = yaml.safe_load((folder / "aspora.config.yaml").read_text(encoding="utf-8"))
    assert f"{config['skill']['domain']}/{config['skill']['name']}" == skill_id
    assert config["skill"]["role"] == front_matter(folder)["metadata"]["aspora-role"]
    assert (folder / config["runtime"]["entry_point"]).is_file()
    domain = yaml.safe_load((folder.parent / "domain.yaml").read_text(encoding="utf-8"))
    assert (config["owner_team"], config["cost_center"]) == (domain["owner_team"], domain["cost_center"])


@pytest.mark.parametrize("domain", sorted({folder.parent for folder in FOLDERS}), ids=lambda path: path.name)
def test_each_domain_says_what_it_is(domain: Path) -> None:
    assert (domain / "DOMAIN.md").read_text(encoding="utf-8").startswith("# ")
    assert (domain / "GUARDRAILS.md").is_file()
    settings = yaml.safe_load((domain / "domain.yaml").read_text(encoding="utf-8"))
    assert set(settings) == {"display_name", "owner_team", "cost_center", "policy_tier", "monthly_budget"}


def test_files_that_a_skill_points_at_exist() -> None:
    for folder in FOLDERS:
        for page in [folder / "SKILL.md", *(folder / "references").glob("*.md")]:
            for name in re.findall(r"`((?:references|fixtures|data|code|scripts)/[\w./-]+)`", page.read_text("utf-8")):
                assert (folder / name).exists(), f"{page}: {name}"


def test_the_markdown_skill_has_its_evaluations() -> None:
    folder = SKILLS / "support/summarise-ticket"
    triggers = json.loads((folder / "tests/triggers.json").read_text(encoding="utf-8"))
    assert {tuple(sorted(each)) for each in triggers} == {("query", "should_trigger")}
    assert {each["should_trigger"] for each in triggers} == {True, False}
    evals = json.loads((folder / "evals/evals.json").read_text(encoding="utf-8"))
    assert evals["skill_name"] == "summarise-ticket"
    assert len({each["id"] for each in evals["evals"]}) == len(evals["evals"])
    for each in evals["evals"]:
        assert set(each) == {"id", "prompt", "expected_output", "files", "assertions"}
        assert all((folder / name).is_file() for name in each["files"])


@pytest.mark.parametrize(("skill_id", "case"), CASES)
def test_golden_cases_hold_in_a_real_process(
    run_skill: Callable[..., dict[str, Any]], skill_id: str, case: SkillTestCase
) -> None:
    given = {name: getattr(case.input, name) for name in ("user_message", "user_id", "domain", "metadata")}
    case.check(run_skill(skill_id, given)["result"])


def test_the_same_question_gets_the_same_answer(run_skill: Callable[..., dict[str, Any]]) -> None:
    given = {"user_message": "10 000 GBP to INR, now or later?"}
    assert run_skill("wealth/fx-timing", given) == run_skill("wealth/fx-timing", given)
