"""From a folder to a Skill: what every key means, and every way to get a folder wrong."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aspora.apis.decode import decode
from aspora.apis.skill import KIND
from aspora.cli.wanted import find_wanted, problems_of
from aspora.skills import InvalidSkill, LoadedSkill, load_domain, load_skill
from aspora.skills.archive import read_archive
from aspora.skills.config_keys import DOMAIN_KEYS, LIST_KEYS, SKILL_KEYS, domain_key_docs, skill_key_docs
from aspora.skills.text_files import MAX_TEXT_BYTES

MakeSkill = Callable[..., Path]
HANDLER = "from aspora_sdk import SkillResult\n\n\ndef handler(context):\n    return SkillResult(True, 'ok')\n"

WHOLE_CONFIG = """
skill:
  name: toy
  domain: demo
  role: field
  version: 1.2.0
  description: Another text.
runtime:
  language: python
  entry_point: code/main.py
  timeout: 2m
  memory: 1GiB
  cpu: 0.25
  durable: true
model:
  primary: gpt-4o
  fallback: none
  temperature: 0.2
  max_tokens: 1000
  cost_budget:
    max_per_execution: 0.10
    monthly_limit: 100
triggers:
  - type: message
    patterns: [where is my order, order status]
  - type: alert
    source: alertmanager
    filter: {severity: high}
  - type: cron
    schedule: "0 7 * * *"
    input: {days: 1, exact: true}
  - type: command
    name: orders
  - type: always
permissions:
  tools: [read]
  apis: [trm:read, ledger]
  secrets: [trm-key]
  mcp: [{name: wiki, access: read}]
  blocked_resources: [references/internal/*]
routing:
  discoverable: false
  keywords: [order]
  examples: [where is it]
  priority: 3
testing:
  required_suites: [unit, golden]
  min_pass_rate: 0.95
  max_regression: 2%
  repeats: 3
  judge_model: gpt-4o-mini
versioning:
  strategy: semver
  rollback_on_error: true
  canary_percentage: 10
monitoring:
  thresholds:
    error_rate: 5%
    latency_p95: 800ms
    cost_per_execution: 0.02
    min_confidence: 0.6
  alert_on_failure: true
  channels: [ops]
visibility: public
owner_team: care
cost_center: CC-1
"""


def problems(folder: Path, **options: Any) -> list[str]:
    """All problems, without the folder's own path."""
    with pytest.raises(InvalidSkill) as caught:
        load_skill(folder, **options)
    return [str(p).replace(f"{folder}/", "").replace(str(folder), ".") for p in caught.value.problems]


def warnings(loaded: LoadedSkill) -> list[str]:
    return [str(w).replace(f"{loaded.folder}/", "").replace(str(loaded.folder), ".") for w in loaded.warnings]


def test_skill_md_alone_is_a_skill_with_safe_defaults(make_skill: MakeSkill) -> None:
    skill = load_skill(make_skill())
    assert skill.id == "demo/toy"
    assert skill.body == "Do the thing."
    assert not skill.warnings
    assert skill.spec["runtime"] == {
        "language": "markdown",
        "timeoutSeconds": 30,
        "memoryBytes": 512_000_000,
        "cpuMillis": 500,
        "durable": False,
    }
    assert skill.spec["model"] == {
        "primary": "",
        "fallback": "gpt-4o-mini",
        "temperatureMilli": 700,
        "maxOutputTokens": 4096,
        "costBudget": {"maxPerExecutionMicroUsd": 1_000_000},
    }
    assert skill.spec["versioning"]["strategy"] == "timestamp"
    assert skill.spec["role"] == "specialist"
    assert skill.spec["artifact"] == {
        "digest": skill.archive.digest,
        "sizeBytes": len(skill.archive.data),
        "fileCount": 1,
    }
    decode(KIND, skill.object)


def test_every_key_of_the_config_reaches_the_spec(make_skill: MakeSkill) -> None:
    skill = load_skill(make_skill({"aspora.config.yaml": WHOLE_CONFIG, "code/main.py": HANDLER}))
    spec = {key: value for key, value in skill.spec.items() if key not in {"artifact", "skillMd"}}
    assert json.loads(json.dumps(spec)) == {
        "role": "field",
        "version": "1.2.0",
        "description": "Another text.",
        "runtime": {
            "language": "python", "entryPoint": "code/main.py", "timeoutSeconds": 120, "memoryBytes": 2**30,
            "cpuMillis": 250, "durable": True,
        },
        "model": {
            "primary": "gpt-4o", "fallback": "", "temperatureMilli": 200, "maxOutputTokens": 1000,
            "costBudget": {"maxPerExecutionMicroUsd": 100_000, "monthlyLimitMicroUsd": 100_000_000},
        },
        "triggers": [
            {"type": "message", "patterns": ["where is my order", "order status"], "input": {}},
            {"type": "alert", "source": "alertmanager", "filter": "severity=high", "patterns": [], "input": {}},
            {"type": "cron", "schedule": "0 7 * * *", "input": {"days": 1, "exact": True}, "patterns": []},
            {"type": "command", "name": "orders", "patterns": [], "input": {}},
            {"type": "always", "patterns": [], "input": {}},
        ],
        "permissions": {
            "tools": ["read"],
            "apis": [{"name": "trm", "access": "read"}, {"name": "ledger", "access": "write"}],
            "secrets": ["trm-key"],
            "mcp": [{"name": "wiki", "access": "read"}],
            "blockedResources": ["references/internal/*"],
        },
        "routing": {"discoverable": False, "keywords": ["order"], "examples": ["where is it"], "priority": 3},
        "testing": {
            "requiredSuites": ["unit", "golden"], "minPassRateBp": 9500, "maxRegressionBp": 200, "repeats": 3,
            "judgeModel": "gpt-4o-mini",
        },
        "versioning": {"strategy": "semver", "rollbackOnError": True, "canaryShareBp": 1000},
        "monitoring": {
            "thresholds": {
                "errorRateBp": 500, "latencyP95Ms": 800, "costPerExecutionMicroUsd": 20_000, "minConfidenceBp": 6000,
            },
            "alertOnFailure": True,
            "channels": ["ops"],
        },
        "visibility": "public",
        "ownerTeam": "care",
        "costCenter": "CC-1",
    }  # fmt: skip


def test_the_whole_config_above_names_every_key_there_is() -> None:
    for key in (*SKILL_KEYS, *LIST_KEYS, *(k for keys in LIST_KEYS.values() for k in keys)):
        assert f"{key.rpartition('.')[2]}:" in WHOLE_CONFIG.replace("- type", "type"), key


def test_every_key_is_documented_by_the_field_it_sets() -> None:
    docs = [*skill_key_docs(), *domain_key_docs()]
    assert len(docs) == len(SKILL_KEYS) + sum(map(len, LIST_KEYS.values())) + len(DOMAIN_KEYS)
    assert all(doc.field.description for doc in docs)


def test_the_same_folder_gives_the_same_bytes_whatever_its_times_and_modes(make_skill: MakeSkill) -> None:
    folder = make_skill({"references/a.md": "a", "code/handler.py": HANDLER})
    first = load_skill(folder)
    os.utime(folder / "references/a.md", (1, 1))
    (folder / "references/a.md").chmod(0o600)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    second = load_skill(folder)
    assert first.archive == second.archive
    assert first.object == second.object
    (folder / "references/a.md").write_text("b")
    assert load_skill(folder).archive.digest != first.archive.digest


def test_the_domains_shared_folder_and_guardrails_go_along(make_skill: MakeSkill) -> None:
    folder = make_skill({"code/handler.py": HANDLER})
    (folder.parent / "shared").mkdir()
    (folder.parent / "shared" / "money.py").write_text("x = 1\n")
    (folder.parent / "GUARDRAILS.md").write_text("Be kind.\n")
    skill = load_skill(folder)
    assert [f.path for f in read_archive(skill.archive.data)] == [
        "SKILL.md", "code/handler.py", "domain/GUARDRAILS.md", "shared/money.py",
    ]  # fmt: skip
    (folder / "shared").mkdir()
    (folder / "shared" / "own.py").write_text("")
    assert any("has a 'shared' of its own" in p for p in problems(folder))


def test_a_handler_is_found_by_its_usual_name(make_skill: MakeSkill) -> None:
    assert load_skill(make_skill({"code/handler.py": HANDLER})).spec["runtime"]["entryPoint"] == "code/handler.py"


def test_a_language_that_cannot_run_yet_is_refused_as_the_server_refuses_it(make_skill: MakeSkill) -> None:
    (problem,) = problems(make_skill({"code/handler.ts": "export const handler = 1;\n"}))
    assert "typescript handlers can't be run yet; write the handler in python, or use markdown" in problem


def test_markdown_can_be_chosen_beside_a_handler(make_skill: MakeSkill) -> None:
    files = {"code/handler.py": HANDLER, "aspora.config.yaml": "runtime: {language: markdown}\n"}
    assert "entryPoint" not in load_skill(make_skill(files)).spec["runtime"]


def test_a_version_means_semver_and_timestamp_drops_it_with_a_warning(make_skill: MakeSkill) -> None:
    semver = load_skill(make_skill({"aspora.config.yaml": "skill: {version: 1.10.0}\n"}))
    assert (semver.spec["version"], semver.spec["versioning"]["strategy"]) == ("1.10.0", "semver")
    config = "skill:\n  version: 1.10.0\nversioning:\n  strategy: timestamp\n"
    stamped = load_skill(make_skill({"aspora.config.yaml": config}, name="other"))
    assert "version" not in stamped.spec
    assert warnings(stamped) == [
        "aspora.config.yaml:2:12: skill.version: is not used: the strategy 'timestamp' stamps each new content;"
        " leave it out, or use 'semver'"
    ]


def test_the_role_comes_from_the_config_then_from_skill_md(make_skill: MakeSkill) -> None:
    own = "---\nname: {}\ndescription: A toy.\nmetadata:\n  aspora-role: field\n  aspora-trigger: play\n---\nBody\n"
    skill = load_skill(make_skill({"SKILL.md": own.format("toy")}))
    assert skill.spec["role"] == "field"
    assert skill.spec["triggers"][0]["patterns"] == ["play"]
    both = make_skill({"SKILL.md": own.format("b"), "aspora.config.yaml": "skill: {role: manager}\n"}, name="b")
    assert problems(both) == [
        "SKILL.md:5: metadata.aspora-role: 'field' is not the role 'manager' of aspora.config.yaml; keep one of them"
    ]
    assert load_skill(both, lenient=True).spec["role"] == "manager"


def test_the_domain_comes_from_path_then_caller_then_config(tmp_path: Path, make_skill: MakeSkill) -> None:
    lone = tmp_path / "elsewhere" / "toy"
    lone.mkdir(parents=True)
    (lone / "SKILL.md").write_text("---\nname: toy\ndescription: A toy.\n---\nBody\n")
    assert load_skill(lone).domain == "default"
    assert load_skill(lone, domain="fraud").domain == "fraud"
    (lone / "aspora.config.yaml").write_text("skill: {domain: ecm}\n")
    assert load_skill(lone).domain == "ecm"
    assert any("'ecm' must equal the domain 'fraud'" in p for p in problems(lone, domain="fraud"))
    assert any("lies in domain 'demo' by its path, not in 'fraud'" in p for p in problems(make_skill(), domain="fraud"))


CONFIG_PROBLEMS = {
    "unknown key": (
        "runtime:\n  timout: 30s\n",
        "aspora.config.yaml:2:3: runtime.timout: unknown key 'timout'; did you mean 'timeout'?",
    ),
    "key in the wrong section": (
        "timeout: 30s\n",
        ":1:1: timeout: unknown key 'timeout'; did you mean 'runtime.timeout'?",
    ),
    "duplicate key": ("model: {}\nruntime: {}\nmodel: {}\n", "comes twice: in line 1 and here"),
    "tab": ("runtime:\n\ttimeout: 30s\n", ":2:1: is not YAML"),
    "tag": ("runtime: !!python/object:x {}\n", "is not allowed"),
    "not a duration": (
        "runtime:\n  timeout: soon\n",
        ":2:12: runtime.timeout: 'soon' is not a duration; write it like 30s",
    ),
    "not a size": ("runtime:\n  memory: lots\n", "runtime.memory: 'lots' is not a size"),
    "not a number": ("runtime:\n  cpu: half\n", "runtime.cpu: 'half' is not a number"),
    "too fine": ("model:\n  temperature: 0.12345\n", "is finer or larger"),
    "not a bool": ("runtime:\n  durable: yes\n", ":2:12: runtime.durable: must be true or false, not 'yes'"),
    "not an amount": ("model:\n  cost_budget:\n    max_per_execution: -1\n", "model.cost_budget.max_per_execution"),
    "out of range": ("runtime:\n  timeout: 0\n", ":2:12: runtime.timeout: input should be greater than or equal to 1"),
    "too long a timeout": ("runtime:\n  timeout: 99d\n", ":2:12: runtime.timeout: input should be less than"),
    "unknown role": ("skill:\n  role: boss\n", ":2:9: skill.role: input should be 'manager', 'specialist' or 'field'"),
    "unknown language": ("runtime:\n  language: cobol\n", ":2:13: runtime.language: input should be"),
    "other name": ("skill:\n  name: other\n", ":2:9: skill.name: 'other' must equal the folder's name 'toy'"),
    "other domain": ("skill:\n  domain: other\n", ":2:11: skill.domain: 'other' must equal the domain 'demo'"),
    "bad version": ("skill:\n  version: one\n", ":2:12: skill.version: 'one' is not a semantic version"),
    "semver without version": (
        "versioning:\n  strategy: semver\n",
        "skill.version: is required by the strategy 'semver'",
    ),
    "a section that is text": ("runtime: fast\n", ":1:10: runtime: must be a section of keys, not a scalar"),
    "a list that is text": (
        "permissions:\n  tools: read\n",
        ":2:10: permissions.tools: must be a list of text, not 'read'",
    ),
    "an item that is a map": (
        "permissions:\n  tools:\n    - a: b\n",
        ":3:7: permissions.tools[0]: must be text, not a map",
    ),
    "unknown access": (
        "permissions:\n  apis: [trm:all]\n",
        ":2:9: permissions.apis[0].access: input should be 'read' or 'write'",
    ),
    "unknown key in a trigger": (
        "triggers:\n  - type: message\n    pattern: x\n",
        ":3:5: triggers[0].pattern: unknown key 'pattern'; did you mean 'patterns'?",
    ),
    "trigger without patterns": (
        "triggers:\n  - type: message\n",
        "triggers[0].patterns: is required for a 'message' trigger",
    ),
    "trigger with a stray key": (
        "triggers:\n  - type: always\n    schedule: '* * * * *'\n",
        ":3:15: triggers[0].schedule: does not go with a 'always' trigger, which takes nothing else; leave it out",
    ),
    "bad schedule": ("triggers:\n  - type: cron\n    schedule: daily\n", "'daily' must have five fields"),
    "a trigger that is text": ("triggers: [x]\n", "triggers[0]: must be a map, not a scalar"),
    "entry point outside": (
        "runtime:\n  entry_point: ../evil.py\n",
        ":2:16: runtime.entry_point: '../evil.py' leaves the skill's folder",
    ),
    "absolute entry point": ("runtime:\n  entry_point: /bin/sh\n", "leaves the skill's folder"),
    "missing entry point": (
        "runtime:\n  entry_point: code/handlr.py\n",
        "'code/handlr.py' is not a file of the skill; did you mean 'code/handler.py'?",
    ),
    "entry point of another language": (
        "runtime:\n  language: go\n  entry_point: code/handler.py\n",
        "is not go: it must end in .go",
    ),
    "language without a handler": ("runtime:\n  language: go\n", "there is no code/handler.go"),
    "a list at the top": ("- a\n", "must hold 'key: value' lines"),
}


@pytest.mark.parametrize(("config", "expected"), CONFIG_PROBLEMS.values(), ids=CONFIG_PROBLEMS.keys())
def test_problems_in_the_config(make_skill: MakeSkill, config: str, expected: str) -> None:
    found = problems(make_skill({"aspora.config.yaml": config, "code/handler.py": HANDLER}))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("aspora.config.yaml") for problem in found), found


def test_all_problems_of_all_files_come_at_once(make_skill: MakeSkill) -> None:
    folder = make_skill(
        {"SKILL.md": "---\nname: Toy\n---\n", "aspora.config.yaml": "runtime:\n  timeout: x\n  cpu: y\nnope: 1\n"}
    )
    (folder / "link").symlink_to("/etc/passwd")
    found = problems(folder)
    for part in (
        "SKILL.md:2:7: name",
        "description: is required",
        "runtime.timeout",
        "runtime.cpu",
        "nope",
        "link: is a link",
    ):
        assert any(part in problem for problem in found), (part, found)


def test_lenient_loads_with_unknown_config_keys(make_skill: MakeSkill) -> None:
    skill = load_skill(make_skill({"aspora.config.yaml": "nope: 1\nruntime:\n  timeout: 5s\n"}), lenient=True)
    assert skill.spec["runtime"]["timeoutSeconds"] == 5
    assert any("unknown key 'nope'" in w for w in warnings(skill))


def test_lenient_makes_a_name_of_any_folder(make_skill: MakeSkill) -> None:
    folder = make_skill({"SKILL.md": "---\nname: My Toy\ndescription: A toy.\n---\nBody\n"}, name="My_Toy (2)")
    assert load_skill(folder, lenient=True).name == "my-toy-2"
    assert any("the folder's name can't name a skill" in p for p in problems(folder))


def test_a_folder_without_skill_md_says_what_would_do(make_skill: MakeSkill, tmp_path: Path) -> None:
    folder = make_skill({"SKILL.md": None, "aspora.config.yaml": ""})
    assert problems(folder) == [
        ".: has no SKILL.md; write one with name and description, or make a skill: aspora create skill DOMAIN/NAME"
    ]
    assert "is a domain, not a skill" in problems(folder.parent)[0]
    assert "is no folder" in problems(tmp_path / "nowhere")[0]


def test_lower_case_skill_md_is_for_import_alone(make_skill: MakeSkill) -> None:
    folder = make_skill({"SKILL.md": None, "skill.md": "---\nname: toy\ndescription: A toy.\n---\nBody\n"})
    skill = load_skill(folder, lenient=True)
    assert skill.name == "toy"
    assert [file.path for file in read_archive(skill.archive.data)] == ["SKILL.md"]
    assert "has no SKILL.md" in problems(folder)[0]


def test_not_utf8_names_the_byte(make_skill: MakeSkill) -> None:
    folder = make_skill({"SKILL.md": b"---\nname: toy\ndescription: caf\xe9\n---\n"})
    assert problems(folder) == ["SKILL.md:3: is not UTF-8: byte 0xe9 at offset 30; save the file as UTF-8"]


def test_nul_is_refused(make_skill: MakeSkill) -> None:
    assert "NUL" in problems(make_skill({"SKILL.md": "---\nname: toy\ndescription: a\0b\n---\n"}))[0]


def test_a_skill_md_of_50_mb_is_refused_without_being_read(make_skill: MakeSkill) -> None:
    folder = make_skill()
    with open(folder / "SKILL.md", "r+b") as file:
        file.truncate(50 * 10**6)
    tracemalloc.start()
    try:
        found = problems(folder)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert any(f"has 50000000 bytes; at most {MAX_TEXT_BYTES}" in p for p in found), found
    assert peak_bytes < 10 * 10**6


@pytest.mark.parametrize("name", ["SKILL.md", "aspora.config.yaml", "references/a.md", "code"])
def test_links_are_refused_wherever_they_stand(make_skill: MakeSkill, name: str, tmp_path: Path) -> None:
    folder = make_skill()
    target = tmp_path / "outside"
    target.mkdir()
    (target / "file").write_text("---\nname: toy\ndescription: x\n---\n")
    (folder / "references").mkdir()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(target if name == "code" else target / "file")
    assert any(p.startswith(f"{name}: is a link") for p in problems(folder))


def test_a_link_that_leads_through_a_folder_out_of_the_skill_is_refused(make_skill: MakeSkill, tmp_path: Path) -> None:
    folder = make_skill({"aspora.config.yaml": "runtime:\n  entry_point: code/handler.py\n"})
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "handler.py").write_text(HANDLER)
    (folder / "code").symlink_to(tmp_path / "evil")
    found = problems(folder)
    assert any("code: is a link" in p for p in found), found
    assert any("is not a file of the skill" in p for p in found), found


def test_special_files_are_refused_without_opening_them(make_skill: MakeSkill) -> None:
    folder = make_skill()
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "aspora.config.yaml")
    found = problems(folder)
    assert any("pipe: is not a regular file" in p for p in found), found
    assert any("aspora.config.yaml: is not a regular file" in p for p in found), found


def test_names_that_collide_are_refused(make_skill: MakeSkill) -> None:
    folder = make_skill({"references/Guide.md": "a", "references/guide.md": "b"})
    if len(os.listdir(folder / "references")) < 2:
        pytest.skip("this file system can't hold both")
    assert any("'references/Guide.md' and 'references/guide.md'" in p for p in problems(folder))


def test_what_is_ignored_stays_out(make_skill: MakeSkill) -> None:
    folder = make_skill(
        {
            ".aspora-ignore": "# drafts\n*.draft\nnotes/\n/references/secret.md\n",
            "a.draft": "x",
            "notes/n.md": "x",
            "references/secret.md": "x",
            "references/open.md": "x",
            ".git/config": "x",
            ".env": "KEY=1",
        }
    )
    skill = load_skill(folder)
    assert [f.path for f in skill.files] == ["SKILL.md", "references/open.md"]
    assert warnings(skill) == [".env: is left out of the artifact; a skill never sees secrets"]


def test_too_many_and_too_large_files(make_skill: MakeSkill) -> None:
    folder = make_skill()
    with open(folder / "big.bin", "wb") as file:
        file.truncate(21 * 2**20)
    assert any("big.bin: has 22020096 bytes" in p for p in problems(folder))
    (folder / "big.bin").unlink()
    for i in range(3):
        with open(folder / f"{i}.bin", "wb") as file:
            file.truncate(19 * 2**20)
    assert any("the files have" in p and "the largest is" in p for p in problems(folder))


def test_a_domain_folder(make_skill: MakeSkill) -> None:
    folder = make_skill().parent
    (folder / "domain.yaml").write_text(
        "display_name: Demo\npolicy_tier: standard\nmonthly_budget: 500\nmodels:\n  field: [gpt-4o-mini]\n"
    )
    domain = load_domain(folder)
    assert domain.object["spec"]["monthlyBudgetMicroUsd"] == 500_000_000
    assert domain.object["spec"]["description"] == "A domain for tests."
    assert domain.object["spec"]["models"]["field"] == ["gpt-4o-mini"]
    (folder / "domain.yaml").write_text("policy_tier: lax\nbudget: 3\n")
    with pytest.raises(InvalidSkill) as caught:
        load_domain(folder)
    text = str(caught.value)
    assert "domain.yaml:1:14: policy_tier: input should be" in text
    assert "did you mean 'monthly_budget'?" in text


def test_a_tool_that_does_not_exist_draws_a_warning(make_skill: MakeSkill) -> None:
    skill = load_skill(make_skill({"aspora.config.yaml": "permissions:\n  tools: [read, reed]\n"}))
    assert warnings(skill) == [
        "aspora.config.yaml:2:10: permissions.tools: there is no tool 'reed'; did you mean 'read'?"
    ]


def test_a_file_name_that_is_not_utf8_is_refused_in_printable_words(make_skill: MakeSkill) -> None:
    folder = make_skill()
    try:
        with open(os.path.join(os.fsencode(folder), b"caf\xe9.md"), "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(InvalidSkill, match="its name is not UTF-8; rename it") as caught:
        load_skill(folder)
    str(caught.value.to_status()).encode()


def test_relative_paths_and_the_present_folder(make_skill: MakeSkill, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_skill({"aspora.config.yaml": "nope: 1\n"})
    monkeypatch.chdir(folder)
    with pytest.raises(InvalidSkill) as caught:
        load_skill(".")
    assert [p.place for p in caught.value.problems] == ["./aspora.config.yaml:1:1"]
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InvalidSkill) as caught:
        load_skill("toy")
    assert [p.place for p in caught.value.problems] == ["toy/aspora.config.yaml:1:1"]


@pytest.mark.parametrize("pattern", ["SKILL.md", "*.md", "*", "/SKILL.md", "S?ILL.md"])
def test_no_pattern_leaves_skill_md_out(make_skill: MakeSkill, pattern: str) -> None:
    with pytest.raises(InvalidSkill) as refused:
        load_skill(make_skill({".aspora-ignore": f"# mine\n{pattern}\n", "code/handler.py": HANDLER}))
    assert any(".aspora-ignore:2" in str(p) and "leaves SKILL.md out" in p.message for p in refused.value.problems)


def test_a_skills_subfolder_may_leave_its_own_skill_md_out(make_skill: MakeSkill) -> None:
    skill = load_skill(make_skill({".aspora-ignore": "old/SKILL.md\n", "old/SKILL.md": "x"}))
    assert [entry.path for entry in skill.files] == ["SKILL.md"]


@pytest.mark.parametrize("name", ["SKILL.md", "aspora.config.yaml", ".aspora-ignore"])
def test_a_folder_under_a_files_name_is_a_problem_of_its_skill_alone(make_skill: MakeSkill, name: str) -> None:
    good = make_skill(name="good")
    bad = make_skill({"SKILL.md": None} if name == "SKILL.md" else None, name="bad")
    (bad / name).mkdir()
    found = find_wanted(str(bad.parent))
    assert [w.name for w in found.wanted if w.object["kind"] == "Skill"] == [good.name]
    (refused,) = found.refused
    assert problems_of(refused.error)[0].endswith(
        f"bad/{name}: is a folder, where a text file belongs; rename or remove it"
    )


@pytest.mark.parametrize("name", ["domain.yaml", "DOMAIN.md"])
def test_a_folder_under_a_domains_file_is_no_way_to_another_domain(make_skill: MakeSkill, name: str) -> None:
    skill = make_skill()
    (skill.parent / "DOMAIN.md").unlink()
    (skill.parent / name).mkdir()
    found = find_wanted(str(skill))
    assert [w.object["metadata"]["domain"] for w in found.wanted if w.object["kind"] == "Skill"] == ["demo"]
    assert f"demo/{name}: is a folder" in problems_of(found.refused[0].error)[0]


@pytest.mark.parametrize(
    ("code", "place", "why"),
    [
        ("x = 1\ndef handler(context)\n    pass\n", ":2:", "is not Python: expected ':'"),
        ("def handler(c):\n    pass\nreturn 1\n", ":3:", "'return' outside function"),
        ("x = '\0'\n", ":1:", "holds a NUL byte"),
        ("x = " + "(" * 5_000 + ")" * 5_000, "", ""),
        ("x = " + "-" * 100_000 + "1", "", ""),
        ("def handler(c):\n\tif c:\n        pass\n", ":3:", "is not Python"),
    ],
)
def test_a_python_handler_must_compile(make_skill: MakeSkill, code: str, place: str, why: str) -> None:
    with pytest.raises(InvalidSkill) as refused:
        load_skill(make_skill({"code/handler.py": code}))
    (problem,) = refused.value.problems
    assert f"code/handler.py{place}" in str(problem)
    assert why in problem.message


@pytest.mark.parametrize(
    "code",
    [
        HANDLER,
        "async def handler(c): ...\n",
        "if True:\n    from x import handle as handler\n",
        "handler = lambda c: None\n",
        "from aspora_sdk import skill_handler as mark\n\n\n@mark\ndef run(c): ...\n",
        "import aspora_sdk\n\n\n@aspora_sdk.skill_handler\ndef run(c): ...\n",
        "from shared.handlers import *\n",
        "\ufeffhandler = None\n",
        "# coding: latin-1\nhandler = 'é'\n".encode("latin-1"),
        "raise SystemExit('never run by the loader')\nhandler = None\n",
    ],
)
def test_a_file_with_a_handler_draws_no_warning(make_skill: MakeSkill, code: str | bytes) -> None:
    assert load_skill(make_skill({"code/handler.py": code})).warnings == ()


@pytest.mark.parametrize("code", ["", "def handle(c): ...\n", "def f():\n    handler = 1\n", "x = '\\d'\n"])
def test_a_file_without_a_handler_draws_a_warning(make_skill: MakeSkill, code: str) -> None:
    (warning,) = load_skill(make_skill({"code/handler.py": code})).warnings
    assert "shows no function 'handler'" in warning.message


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("versioning:\n  canary_percentage: 300", "'300' is more than 100 %"),
        ("testing:\n  min_pass_rate: 1.5", "'1.5' is more than the whole"),
        (f"runtime:\n  timeout: {'z' * 500}", "(502 characters) is not a duration"),
        (f"runtime:\n  entry_point: code/{'q' * 500}.py", "characters) is not a file of the skill"),
        ("k" * 500 + ": 1", "unknown key 'kkk"),
        ("model:\n  cost_budget:\n    max_per_execution: " + "9" * 500, "characters) is finer or larger"),
    ],
)
def test_problems_speak_the_authors_language_and_are_short(make_skill: MakeSkill, line: str, why: str) -> None:
    with pytest.raises(InvalidSkill) as refused:
        load_skill(make_skill({"aspora.config.yaml": line + "\n"}))
    (problem,) = refused.value.problems
    assert why in problem.message
    assert len(problem.message) + len(problem.path) < 500


def test_what_is_neither_folder_nor_file_exists_all_the_same(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (str(tmp_path / "pipe.yaml"), "/dev/null"):
        with pytest.raises(InvalidSkill, match="is no folder and no regular file"):
            find_wanted(path)
