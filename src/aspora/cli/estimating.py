"""What goes into an estimate: a skill's folder, its history on the server, its recorded approval."""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aspora.apis.model import ModelSpec
from aspora.cli.rest import Rest
from aspora.client.paths import object_path
from aspora.evals.datasets import DatasetError, load_evals
from aspora.meta.names import did_you_mean
from aspora.meta.quantities import parse_usd
from aspora.models.defaults import default_objects, shipped_routing
from aspora.models.estimates import Estimate, from_cases, from_history, without_calls
from aspora.skills.load import LoadedSkill
from aspora_sdk import CaseFileError, SkillInput, load_test_cases

DEFAULT_EXECUTIONS: Final = 1000
"""A month, of a skill that has no history."""

MONTH: Final = timedelta(days=30)
_MOST_CALLS: Final = 5000
_BASES: Final = ("origin/main", "origin/master", "main", "master")
_APPROVAL: Final = re.compile(r"^\W*cost-approval\W*:\W*\$?(?P<usd>\d+(?:\.\d{1,2})?)\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a skill's executions cost in the last month, at most the latest `_MOST_CALLS` calls.

    Attributes:
        costs_micro_usd: Of each execution; calls in doubt at their holds.
        executions_per_month: As often as in the time that these calls span.
    """

    costs_micro_usd: Sequence[int]
    executions_per_month: int


def history_of(rest: Rest, skill: LoadedSkill, *, now: datetime) -> History:
    """Ask the server."""
    since = now - MONTH
    query = {"skill": skill.name, "since": since.astimezone(UTC).isoformat(), "state": "Settled,InDoubt"}
    path = object_path("calls", domain=skill.domain)
    calls: list[Mapping[str, Any]] = []
    for call in rest.items(path, query=query):
        calls.append(call)
        if len(calls) == _MOST_CALLS:
            since = datetime.fromisoformat(call["metadata"]["creationTimestamp"])
            break
    costs: dict[str, int] = defaultdict(int)
    for call in calls:
        execution = call["spec"]["attribution"].get("execution") or call["metadata"]["name"]
        costs[execution] += call["status"].get("costMicroUsd", call["spec"]["holdMicroUsd"])
    span = max(now - since, timedelta(hours=1))
    return History(costs_micro_usd=list(costs.values()), executions_per_month=round(len(costs) * (MONTH / span)))


def estimate(skill: LoadedSkill, history: History | None) -> Estimate:
    """By its history, when there is enough; else by its folder.

    Raises:
        ValueError: Its model has no known price, or its cases can't be read.
    """
    known = from_history(history.costs_micro_usd) if history else None
    if known is not None:
        return known
    if skill.spec["runtime"].get("entryPoint"):
        return without_calls()
    model = skill.spec["model"]
    models, name = _models(), model["primary"] or shipped_routing().tasks.skill_execution
    spec = models.get(name)
    if spec is None or spec.prices is None:
        raise ValueError(
            f"{skill.id}: no price of model {name!r} ships with Aspora{did_you_mean(name, models)};"
            " name one that has a price, or estimate it by its history, with a server that has run it"
        )
    return from_cases(
        instruction_bytes=len(skill.body.encode()),
        input_bytes=_input_bytes(skill),
        prices=spec.prices,
        max_output_tokens=model["maxOutputTokens"],
        cap_micro_usd=model["costBudget"]["maxPerExecutionMicroUsd"],
    )


def _models() -> dict[str, ModelSpec]:
    return {
        obj["metadata"]["name"]: ModelSpec.model_validate(obj["spec"])
        for obj in default_objects()
        if obj["kind"] == "Model"
    }


def _input_bytes(skill: LoadedSkill) -> list[int]:
    """Sizes of what the skill is asked in its golden cases and evaluations."""
    golden, evals = skill.folder / "tests" / "golden.jsonl", skill.folder / "evals" / "evals.json"
    sizes: list[int] = []
    try:
        if golden.is_file():
            sizes += [_size_of(case.input) for case in load_test_cases(golden)]
        if evals.is_file():
            for case in load_evals(evals, skill=skill.name):
                files = [skill.folder / name for name in case.files]
                sizes.append(len(case.prompt.encode()) + sum(file.stat().st_size for file in files if file.is_file()))
    except (CaseFileError, DatasetError, OSError) as error:
        raise ValueError(f"{skill.id}: {error}") from None
    return sizes


def _size_of(asked: SkillInput) -> int:
    return len(asked.user_message.encode()) + len(json.dumps(asked.metadata))


def approved_micro_usd(folder: Path) -> int:
    """What a line `cost-approval: $800` of the skill's DECISIONS.md allows a month; 0 without one."""
    path = folder / "DECISIONS.md"
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    return max((parse_usd(found["usd"]) for found in _APPROVAL.finditer(text)), default=0)


def changed_since(base: str, folders: Iterable[Path]) -> list[Path]:
    """Those of the folders that hold a file which differs from where this branch left `base`, or is not in git yet.

    Args:
        base: A branch or commit; "" for the main branch.

    Raises:
        ValueError: They lie in no git repository, or there is no such base.
    """
    folders = list(folders)
    if not folders:
        return []
    top = Path(_git(folders[0], "rev-parse", "--show-toplevel"))
    left = _git(top, "merge-base", base or _main_branch(top), "HEAD")
    files = [
        *_git(top, "diff", "--name-only", "-z", left).split("\0"),
        *_git(top, "ls-files", "--others", "--exclude-standard", "-z").split("\0"),
    ]
    changed = {top / file for file in files if file}
    return [folder for folder in folders if any(file.is_relative_to(folder.resolve()) for file in changed)]


def _main_branch(top: Path) -> str:
    for name in _BASES:
        if _runs(top, "rev-parse", "--verify", "--quiet", name).returncode == 0:
            return name
    raise ValueError(f"{str(top)!r} has none of the branches {', '.join(_BASES)}; name one: --changed-skills BRANCH")


def _git(folder: Path, *words: str) -> str:
    done = _runs(folder, *words)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ValueError(
            f"git {words[0]} failed in {str(folder)!r} ({said[-1] if said else done.returncode});"
            " leave --changed-skills out, or name a branch that is there"
        )
    return done.stdout.rstrip("\n")


def _runs(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["git", "-C", str(folder), *words], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise ValueError("--changed-skills needs git, which is not installed; name the skills in its place") from None
