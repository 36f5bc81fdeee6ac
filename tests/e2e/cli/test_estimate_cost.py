"""`aspora estimate-cost` without a server: from the folder alone."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import InProcess

from aspora.skills.scaffold import create_skill

TALK = (
    "---\nname: talk\ndescription: Answers what it is asked. Use when somebody asks.\n---\n\nAnswer in one sentence.\n"
)


@pytest.fixture
def talk(project: Path) -> Path:
    """A skill that asks a model, beside one that does not."""
    folder = project / "skills" / "hr" / "talk"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(TALK)
    return folder


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_handler_costs_nothing_and_a_model_does(quick: InProcess, project: Path, talk: Path) -> None:
    rows = {row["skill"]: row for row in json.loads(quick.ok("estimate-cost", "-o", "json", cwd=project))}
    assert rows["hr/screen"]["highMicroUsd"] == 0
    one = rows["hr/talk"]
    assert one["executionsPerMonth"] == 1000
    assert 0 < one["lowMicroUsd"] < one["expectedMicroUsd"] < one["highMicroUsd"]
    table = quick.ok("estimate-cost", cwd=project)
    assert table.splitlines()[0].split()[:2] == ["SKILL", "EXECUTIONS/MONTH"]
    assert "hr/screen: a handler makes no model calls" in table


def test_what_is_dear_needs_an_approval(quick: InProcess, project: Path, talk: Path) -> None:
    dear = ("estimate-cost", "--calls-per-month", "100000")
    told = quick.run(*dear, cwd=project)
    assert (told.code, "hr/talk is expected to cost $" in told.err) == (0, True)
    assert quick.run(*dear, "--fail-on-exceed", cwd=project).code == 1
    assert quick.run(*dear, "--fail-on-exceed", "--threshold", "1000000", cwd=project).code == 0
    (talk / "DECISIONS.md").write_text("# Decisions\n\n**cost-approval**: $600 a month.\n")
    assert quick.run(*dear, "--fail-on-exceed", cwd=project).code == 1
    (talk / "DECISIONS.md").write_text("# Decisions\n\n- cost-approval: $9000.50 a month, by HR, 2026-11-30\n")
    approved = quick.run(*dear, "--fail-on-exceed", cwd=project)
    assert (approved.code, approved.err, "$9000.50" in approved.out) == (0, "", True)
    assert quick.run("estimate-cost", "--calls-per-month", "-1", cwd=project).code == 2


def test_only_what_a_branch_changes(quick: InProcess, project: Path) -> None:
    def changed(*words: str) -> list[str]:
        rows = json.loads(quick.ok("estimate-cost", "--changed-skills", *words, "-o", "json", cwd=project))
        return [row["skill"] for row in rows]

    assert quick.run("estimate-cost", "--changed-skills", cwd=project).code == 2, "no repository"
    git(project, "init", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-m", "one")
    assert changed() == []
    create_skill(project / "skills", "hr/other")
    assert changed() == ["hr/other"]
    git(project, "checkout", "-b", "work")
    git(project, "add", "-A")
    git(project, "commit", "-m", "two")
    assert changed() == ["hr/other"]
    assert changed("work") == []
    wrong = quick.run("estimate-cost", "--changed-skills", "nowhere", cwd=project)
    assert (wrong.code, "name a branch that is there" in wrong.err) == (2, True)


def test_a_model_without_a_price_is_told(quick: InProcess, project: Path, talk: Path) -> None:
    (talk / "aspora.config.yaml").write_text("model:\n  primary: claude-sonet-4-5\n")
    told = quick.run("estimate-cost", cwd=project)
    assert told.code == 2
    assert "did you mean 'claude-sonnet-4-5'" in told.err
