"""The verbs that need no server."""

import json
import shutil
from pathlib import Path

from tests.e2e.cli.conftest import InProcess
from tests.e2e.server import REPO, Aspora

SKILLS = REPO / "skills"


def test_a_new_project_validates_tests_and_runs_at_once(offline: Aspora, tmp_path: Path) -> None:
    offline.ok("init", "proj", "--skill", "hr/screen", cwd=tmp_path)
    project = tmp_path / "proj"
    assert "2 valid" in offline.ok("validate", cwd=project)
    table = offline.ok("test", cwd=project)
    assert [line.split()[:3] for line in table.splitlines()[1:]] == [
        ["hr/screen", "unit", "ok"],
        ["hr/screen", "golden", "ok"],
    ]
    ran = offline.ok("run", "./skills/hr/screen", "hello", cwd=project)
    assert "State:       Succeeded" in ran
    assert "The request has 1 word." in ran
    again = offline.run("init", "proj", cwd=tmp_path)
    assert again.code == 4
    assert "is not empty" in again.err


def test_a_markdown_skill_says_what_to_set_before_it_runs(quick: InProcess, project: Path) -> None:
    made = quick.run("create", "skill", "hr/talk", "--lang", "markdown", "--role", "manager", cwd=project)
    steps = made.err.splitlines()
    assert [n for n, line in enumerate(steps) if "export OPENROUTER_API_KEY=" in line] == [
        n - 1 for n, line in enumerate(steps) if "aspora run ./skills/hr/talk" in line
    ]
    assert "OPENROUTER_API_KEY" not in quick.run("create", "skill", "hr/other", cwd=project).err
    quick.ok("validate", cwd=project)
    done = quick.run("run", "./skills/hr/talk", "hello", cwd=project)
    assert done.code == 3
    assert "OPENROUTER_API_KEY" in done.err
    assert "ASPORA_MODEL_URL" in done.err
    assert "Missing:" in quick.ok("run", "./skills/hr/talk", "--dry-run", cwd=project)
    assert "manager" in quick.ok("list", cwd=project)


def test_create_does_not_overwrite(quick: InProcess, project: Path) -> None:
    done = quick.run("create", "skill", "hr/screen", cwd=project)
    assert done.code == 4
    assert "exists" in done.err


def test_list_names_the_bundled_skills(quick: InProcess) -> None:
    names = quick.ok("list", "-o", "name").split()
    assert names == [
        "ecm/order-details",
        "fraud/detect-velocity",
        "support/summarise-ticket",
        "wealth/create-goal",
        "wealth/fx-timing",
    ]
    listed = json.loads(quick.ok("list", "skills/wealth", "-o", "json"))
    assert [(row["skill"], row["valid"], row["runtime"]) for row in listed] == [
        ("wealth/create-goal", True, "python"),
        ("wealth/fx-timing", True, "python"),
    ]


def test_list_shows_a_broken_skill_among_the_others(quick: InProcess, project: Path) -> None:
    shutil.copytree(project / "skills/hr/screen", project / "skills/hr/broken")
    done = quick.run("list", cwd=project)
    assert done.code == 1
    assert "hr/screen" in done.out
    assert "INVALID" in done.out
    assert "aspora validate" in done.err


def test_validate_accepts_what_is_bundled_and_names_what_does_nothing_yet(quick: InProcess) -> None:
    out = quick.ok("validate")
    assert "9 valid" in out
    assert "Inactive: spec.triggers" in out


def test_a_run_from_a_folder_is_marked_not_recorded(offline: Aspora) -> None:
    out = offline.ok("run", "./skills/ecm/order-details", "Where is my order ORD-10201?")
    assert "ORD-10201: it is on its way" in out
    assert "not recorded" in out
    assert "HostCall  method=tools.read  outcome=ok" in out
    said = json.loads(offline.ok("run", "./skills/ecm/order-details", "ORD-10201", "-o", "json"))
    assert said["recorded"] is False
    assert said["execution"]["status"]["result"]["data"]["orders"][0]["id"] == "ORD-10201"


def test_a_name_without_a_server_means_its_folder(offline: Aspora) -> None:
    done = offline.run("run", "ecm/order-details", "ORD-10201")
    assert done.code == 0
    assert "Warning: no Aspora is running with data directory" in done.err
    assert "'skills/ecm/order-details' runs here instead, and is not recorded" in done.err
    unknown = offline.run("run", "ecm/nothing", "x")
    assert unknown.code == 3
    assert "aspora up --detach" in unknown.err


def test_a_dry_run_executes_nothing(quick: InProcess, project: Path) -> None:
    handler = project / "skills/hr/screen/code/handler.py"
    handler.write_text("raise SystemExit('it was loaded')\n")
    done = quick.run("run", "./skills/hr/screen", "--dry-run", cwd=project)
    assert done.code == 0
    assert "it was loaded" not in done.out + done.err
    assert "Recorded:  no" in done.out
    assert "code/handler.py (python) in the sandbox driver 'process'" in done.out


def test_options_of_a_server_are_refused_for_a_folder(quick: InProcess) -> None:
    done = quick.run("run", "./skills/ecm/order-details", "x", "--detach")
    assert done.code == 2
    assert "--detach needs a server" in done.err


def test_a_failing_test_fails_the_command_and_says_where(offline: Aspora, project: Path) -> None:
    golden = project / "skills/hr/screen/tests/golden.jsonl"
    case = {"id": "wrong", "input": {"user_message": "hello"}, "expect": {"success": False}}
    golden.write_text(golden.read_text() + json.dumps(case) + "\n")
    (project / "skills/hr/screen/tests/unit/test_more.py").write_text(
        "import os\n\n\ndef test_wrong():\n    assert 1 == 2\n\n\n"
        "def test_no_key_is_seen():\n    assert 'OPENROUTER_API_KEY' not in os.environ\n"
    )
    keyed = Aspora(offline.data_dir, {**offline.environ, "OPENROUTER_API_KEY": "a-key"})
    done = keyed.run("test", "hr/screen", cwd=project)
    assert done.code == 1
    assert "FAIL  hr/screen golden: wrong" in done.out
    assert "assert 1 == 2" in done.out
    assert "test_no_key_is_seen" not in done.out
    assert [line.split()[:3] for line in done.out.splitlines()[-2:]] == [
        ["hr/screen", "unit", "FAILED"],
        ["hr/screen", "golden", "FAILED"],
    ]


def test_no_text_of_a_skill_drives_the_terminal(offline: Aspora, project: Path) -> None:
    skill = project / "skills/hr/screen"
    case = {"id": "wr\x1b[2Jong", "input": {"user_message": "x"}, "expect": {"success": True}}
    (skill / "tests/golden.jsonl").write_text(json.dumps(case) + "\n")
    (skill / "code/handler.py").write_text("def handler(context):\n    raise ValueError('\\x1b]0;mine\\x07')\n")
    done = offline.run("test", "hr/screen", cwd=project)
    assert "wr\\x1b[2Jong" in done.out
    assert "\x1b" not in done.out + done.err


def test_what_failed_is_told_with_its_reason(offline: Aspora, project: Path) -> None:
    handler = project / "skills/hr/screen/code/handler.py"
    for text, reason in [
        ("import a_module_that_is_missing\n", "HandlerLoadFailed"),
        ("def nothing(): ...\n", "HandlerLoadFailed"),
        ("from aspora_sdk import skill_handler\n@skill_handler\nasync def h(c):\n    1 / 0\n", "HandlerRaised"),
        ("from aspora_sdk import skill_handler\n@skill_handler\nasync def h(c):\n    return 3\n", "InvalidResult"),
    ]:
        handler.write_text(text)
        done = offline.run("run", "./skills/hr/screen", "x", cwd=project)
        assert done.code == 1, text
        assert f"Failed ({reason})" in done.out
    handler.write_text("import a_module_that_is_missing\n")
    assert "a_module_that_is_missing" in offline.run("run", "./skills/hr/screen", "x", cwd=project).out


def test_nothing_is_left_after_a_run(offline: Aspora) -> None:
    offline.ok("run", "./skills/ecm/order-details", "ORD-10201")
    assert list((offline.data_dir / "sandbox").iterdir()) == []
