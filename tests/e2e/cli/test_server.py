"""The verbs that talk to a server, against a real one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.server import REPO, Aspora

from aspora.skills.scaffold import create_skill

SLEEPER = '''"""Sleeps as long as it is told."""

import asyncio

from aspora_sdk import SkillContext, SkillResult, skill_handler


@skill_handler
async def handler(context: SkillContext) -> SkillResult:
    for second in range(int(context.input.metadata["seconds"])):
        context.log.info("tick", second=second)
        await asyncio.sleep(1)
    return SkillResult(success=True, message="slept", data={}, confidence=1.0)
'''


@pytest.fixture(scope="module")
def aspora(running_aspora: Aspora) -> Aspora:
    """The bundled skills are applied."""
    running_aspora.ok("apply", "-f", "skills/")
    return running_aspora


@pytest.fixture
def new_skill(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder `skills/<domain>/<name>` of this test's own."""

    def make(skill_id: str, *, handler: str = "", timeout: str = "") -> Path:
        folder = create_skill(tmp_path / "skills", skill_id).folder
        if handler:
            (folder / "code" / "handler.py").write_text(handler)
        if timeout:
            path = folder / "aspora.config.yaml"
            path.write_text(re.sub(r"timeout: \S+", f"timeout: {timeout}", path.read_text()))
        return folder

    return make


def test_apply_twice_changes_nothing_and_says_so(aspora: Aspora) -> None:
    out = aspora.ok("apply", "-f", "skills/")
    assert "skill/wealth/create-goal unchanged (revision create-goal-" in out
    assert "9 unchanged" in out
    assert aspora.run("diff", "-f", "skills/").code == 0


def test_equal_warnings_are_said_once_and_only_when_something_changed(
    aspora: Aspora, new_skill: Callable[..., Path]
) -> None:
    for name in ("warned/a", "warned/b"):
        folder = new_skill(name)
        config = folder / "aspora.config.yaml"
        config.write_text(config.read_text() + "\ntriggers:\n  - type: command\n    name: go\n")
    tree = str(folder.parents[1])
    first = aspora.run("apply", "-f", tree)
    told = [line for line in first.err.splitlines() if "spec.triggers" in line]
    assert len(told) == 1, first.err
    assert told[0].startswith("Warning: Inactive: spec.triggers")
    assert told[0].endswith("(2 skills)")
    assert "Warning" not in aspora.run("apply", "-f", tree).err


def test_a_change_is_shown_then_applied_then_rolled_back(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    folder = new_skill("cycle/screen")
    assert "created (revision screen-" in aspora.ok("apply", "-f", str(folder))
    (folder / "SKILL.md").write_text((folder / "SKILL.md").read_text() + "\nOne more line.\n")
    diff = aspora.run("diff", "-f", str(folder))
    assert diff.code == 1
    assert "+One more line." in diff.out
    assert "cycle/screen would be configured" in aspora.run("diff", "-f", str(folder), "--summary").out
    dry = aspora.ok("apply", "-f", str(folder), "--dry-run")
    assert "configured (dry run)" in dry
    match = re.search(r"configured \(revision (\S+) → (\S+)\)", aspora.ok("apply", "-f", str(folder)))
    assert match is not None
    old, new = match.groups()
    assert f"now points at {old} (was {new})" in aspora.ok("rollback", "cycle/screen")
    deadline = time.monotonic() + 30
    while " (rolled back) " not in aspora.ok("get", "skill", "cycle/screen"):
        assert time.monotonic() < deadline, "the rollback is not shown"
    again = aspora.run("apply", "-f", str(folder))
    assert f"unchanged (revision {new})" in again.out
    assert f"production points at {old} (rolled back)" in again.err
    assert f"aspora rollback cycle/screen --to {new}" in again.err
    oldest = aspora.run("rollback", "cycle/screen")
    assert oldest.code == 2
    assert "oldest" in oldest.err
    ran = json.loads(aspora.ok("run", "cycle/screen", "hello", "-o", "json"))
    assert ran["spec"]["revision"] == old


def test_content_that_came_back_rolls_back_to_what_served_before_it(
    aspora: Aspora, new_skill: Callable[..., Path]
) -> None:
    folder = new_skill("cycle/return")
    first = (folder / "SKILL.md").read_text()
    aspora.ok("apply", "-f", str(folder))
    (folder / "SKILL.md").write_text(first + "\nOne more line.\n")
    aspora.ok("apply", "-f", str(folder))
    (folder / "SKILL.md").write_text(first)
    match = re.search(r"configured \(revision (\S+) → (\S+)\)", aspora.ok("apply", "-f", str(folder)))
    assert match is not None
    second, back = match.groups()
    assert f"now points at {second} (was {back})" in aspora.ok("rollback", "cycle/return")
    assert "oldest" in aspora.run("rollback", "cycle/return").err


def test_the_revision_has_the_name_that_a_dry_run_tells_before(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    folder = new_skill("plan/screen")
    plan = json.loads(aspora.ok("run", str(folder), "--dry-run", "-o", "json"))
    assert f"(revision {plan['revision']})" in aspora.ok("apply", "-f", str(folder))
    there = json.loads(aspora.ok("run", "plan/screen", "--dry-run", "-o", "json"))
    assert (there["revision"], there["digest"], there["recorded"]) == (plan["revision"], plan["digest"], True)
    assert "no executions" in aspora.run("get", "executions", "--skill", "plan/screen").err


def test_other_content_under_the_same_version_is_refused_with_the_way_out(
    aspora: Aspora, new_skill: Callable[..., Path]
) -> None:
    folder = new_skill("semver/screen")
    config = folder / "aspora.config.yaml"
    config.write_text(config.read_text().replace("skill:\n", "skill:\n  version: 1.0.0\n"))
    aspora.ok("apply", "-f", str(folder))
    (folder / "references").mkdir(exist_ok=True)
    (folder / "references" / "more.md").write_text("more\n")
    done = aspora.run("apply", "-f", str(folder))
    assert done.code == 4
    assert "raise the version" in done.err
    assert aspora.run("diff", "-f", str(folder)).code == 4


def test_one_broken_skill_does_not_stop_the_others(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    good, bad = new_skill("mixed/good"), new_skill("mixed/bad")
    (bad / "SKILL.md").write_text("nothing\n")
    done = aspora.run("apply", "-f", str(good.parent))
    assert done.code == 4
    assert "skill/mixed/good created" in done.out
    assert "SKILL.md:1" in done.err
    assert "1 failed" in done.out


def test_a_dry_run_into_nothing_stores_nothing(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    folder = new_skill("ghost/screen")
    done = aspora.run("apply", "-f", str(folder.parents[1]), "--dry-run")
    assert done.code == 0, done.err
    assert "nothing is stored" in done.out
    assert aspora.run("get", "domain", "ghost").code == 4


def test_what_get_prints_can_be_applied_again(aspora: Aspora) -> None:
    listed = aspora.ok("get", "models", "-o", "yaml")
    assert "unchanged" in aspora.ok("apply", "-f", "-", stdin=listed)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("apiVersion: aspora.dev/v1\nkind: Domian\nmetadata: {name: x}\n", "did you mean 'domain'"),
        (
            "apiVersion: aspora.dev/v1\nkind: Domain\nmetadata: {name: x}\nspec: {ownerTeem: a}\n",
            "did you mean 'ownerTeam'",
        ),
        ("apiVersion: aspora.dev/v1\nkind: Domain\nmetadata: {name: X_}\n", "is not a name"),
    ],
)
def test_unknown_kinds_and_fields(aspora: Aspora, manifest: str, told: str) -> None:
    done = aspora.run("apply", "-f", "-", stdin=manifest)
    assert done.code == 4
    assert told in done.err


def test_run_prints_the_result_and_where_to_look(aspora: Aspora) -> None:
    out = aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?", "--user", "staff-1")
    assert "ORD-10201: it is on its way" in out
    match = re.search(r"aspora logs (EXEC-\S+)", out)
    assert match is not None
    trace = aspora.ok("logs", match[1][:-3])
    assert "HostCall  method=tools.read" in trace
    assert "stages:" in trace
    assert match[1] in aspora.ok("get", "executions", "--skill", "ecm/order-details", "--since", "1h")


def test_a_failed_execution_fails_the_command(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    folder = new_skill("failing/screen", handler="import a_module_that_is_missing\n")
    aspora.ok("apply", "-f", str(folder))
    done = aspora.run("run", "failing/screen", "x")
    assert done.code == 1
    assert "Failed (HandlerLoadFailed)" in done.out
    assert "a_module_that_is_missing" in done.out


def test_the_last_executions_of_a_skill_are_printed_without_following(aspora: Aspora) -> None:
    ran = [json.loads(aspora.ok("run", "ecm/order-details", "ORD-10201", "-o", "json")) for _ in range(2)]
    first, second = (execution["metadata"]["name"] for execution in ran)
    out = aspora.ok("logs", "ecm/order-details", "--no-follow")
    assert out.index(first) < out.index(second)
    one = aspora.ok("logs", "ecm/order-details", "--tail", "1")
    assert (first in one, second in one) == (False, True)
    with command(aspora, "logs", "ecm/order-details", "--follow", "--tail", "1") as follower:
        assert follower.stderr is not None
        assert "(Ctrl-C stops, --no-follow prints the last ones)" in follower.stderr.readline()
        follower.send_signal(signal.SIGINT)
        out, _ = follower.communicate(timeout=60)
    assert second in out


def test_the_same_key_runs_once(aspora: Aspora) -> None:
    argv = ("run", "ecm/order-details", "ORD-10201", "--idempotency-key", "once", "-o", "json")
    first, second = (json.loads(aspora.ok(*argv)) for _ in range(2))
    assert first["metadata"]["name"] == second["metadata"]["name"]
    other = aspora.run("run", "ecm/order-details", "ORD-10246", "--idempotency-key", "once")
    assert other.code == 4


@pytest.mark.parametrize(
    "words",
    [
        ["get", "skill", "order-details"],
        ["get", "skill", "order-details", "-o", "yaml"],
        ["describe", "skill", "order-details"],
        ["logs", "order-details"],
        ["rollback", "order-details"],
        ["delete", "skill", "order-details"],
        ["wait", "skill", "order-details", "--for", "condition=Ready"],
        ["edit", "skill", "order-details"],
        ["run", "order-details", "x"],
    ],
    ids=lambda words: words[0],
)
def test_a_name_without_its_domain_is_told_with_it(aspora: Aspora, words: list[str]) -> None:
    done = aspora.run(*words)
    assert done.code == 4
    assert "'order-details' not found in domain 'default'; did you mean 'ecm/order-details'?" in done.err


def test_unknown_skills_name_the_way_out(aspora: Aspora) -> None:
    done = aspora.run("run", "wealth/create-gaol", "x")
    assert done.code == 4
    assert "create-gaol" in done.err


def test_a_name_without_its_domain_is_found_where_it_is(aspora: Aspora) -> None:
    done = aspora.run("run", "order-details", "x")
    assert (done.code, done.err) == (
        4,
        "Error: skill 'order-details' not found in domain 'default'; did you mean 'ecm/order-details'?\n",
    )
    key = aspora.ok("create", "apikey", "near", "--role", "operator", "-d", "default", "--expires", "1h").strip()
    blind = Aspora(aspora.data_dir, {**aspora.environ, "ASPORA_API_KEY": key})
    refused = blind.run("run", "order-details", "x")
    assert refused.code == 4
    assert "not found in domain 'default'" in refused.err
    assert "ecm" not in refused.err


def test_a_mistyped_skill_of_executions_is_noticed(aspora: Aspora) -> None:
    for output in ("table", "json"):
        done = aspora.run("get", "executions", "--skill", "ecm/order-detials", "-o", output)
        assert done.code == 0
        assert done.err.splitlines()[0] == (
            "Warning: there is no skill 'ecm/order-detials'; did you mean 'ecm/order-details'?"
        )
    plain = aspora.run("get", "executions", "--skill", "zzz", "-o", "name")
    assert plain.err == "Warning: there is no skill 'zzz'; see: aspora get skills\n"
    known = aspora.run("get", "executions", "--skill", "order-details", "--state", "Failed", "-o", "name")
    assert (known.out, known.err) == ("", "")


@pytest.fixture(scope="module")
def sleeper(aspora: Aspora, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A skill that runs as long as it is told."""
    folder = create_skill(tmp_path_factory.mktemp("sleeper") / "skills", "slow/sleeper").folder
    (folder / "code" / "handler.py").write_text(SLEEPER)
    path = folder / "aspora.config.yaml"
    path.write_text(re.sub(r"timeout: \S+", "timeout: 90s", path.read_text()))
    aspora.ok("apply", "-f", str(folder))
    return "slow/sleeper"


def command(aspora: Aspora, *argv: str) -> "subprocess.Popen[str]":
    """A command line that goes on while the test does."""
    return subprocess.Popen(
        [sys.executable, "-m", "aspora", *argv],
        env={**aspora.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
    )


def wait_until_running(aspora: Aspora, skill: str) -> str:
    """The id of the skill's running execution."""
    for _ in range(100):
        listed = json.loads(aspora.ok("get", "executions", "--skill", skill, "--state", "Running", "-o", "json"))
        if listed["items"]:
            return str(listed["items"][0]["metadata"]["name"])
    raise AssertionError(f"{skill} does not run")


def test_detached_then_followed_then_cancelled(aspora: Aspora, sleeper: str) -> None:
    name = aspora.ok("run", sleeper, "--input", "seconds:=60", "--detach").strip()
    with command(aspora, "logs", name, "--follow") as follower:
        assert follower.stdout is not None
        lines = iter(follower.stdout.readline, "")
        assert any("tick" in line for line in lines)
        assert "Cancelled" in aspora.ok("cancel", name[:-2])
        rest = list(lines)
    assert "Cancelled" in rest[-2]
    assert rest[-1] == "   because: cancelled on request\n"
    assert "Cancelled" in aspora.ok("cancel", f"execution/slow/{name}")
    assert name in aspora.ok("logs", f"execution/slow/{name}")


def test_ctrl_c_leaves_the_execution_running_and_says_so(aspora: Aspora, sleeper: str) -> None:
    with command(aspora, "run", sleeper, "--input", "seconds:=60") as waiting:
        name = wait_until_running(aspora, sleeper)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=90)
    assert waiting.returncode == 130
    assert out == ""
    assert f"aspora cancel {name}" in err
    assert "Running" in aspora.ok("get", "execution", name)
    aspora.ok("cancel", name)


def test_a_run_that_outlasts_the_first_wait_is_followed_to_its_end(aspora: Aspora, sleeper: str) -> None:
    done = aspora.run("run", sleeper, "--input", "seconds:=12")
    assert done.code == 0
    assert "slept" in done.out
    assert "waiting for its end" in done.err
    assert "tick  second=11" in done.err


def test_apply_watch_follows_edits(aspora: Aspora, new_skill: Callable[..., Path]) -> None:
    folder, _ = new_skill("watched/screen"), new_skill("watched/stays")
    with command(aspora, "apply", "-f", str(folder.parent.parent), "--watch") as watching:
        timer = threading.Timer(60, watching.kill)
        timer.start()
        assert watching.stderr is not None
        assert watching.stdout is not None
        assert any(line.startswith("watching") for line in iter(watching.stderr.readline, ""))
        os.utime(folder / "SKILL.md")
        shutil.copy(folder / "SKILL.md", folder / "references.md")
        lines = iter(watching.stdout.readline, "")
        assert any(line.startswith("skill/watched/screen configured (revision") for line in lines)
        shutil.rmtree(folder)
        told = iter(watching.stderr.readline, "")
        assert any("skill/watched/screen is not there any more, and stays on the server" in line for line in told)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=90) == 0
        timer.cancel()


def test_records_are_not_watched_but_the_way_is_shown(aspora: Aspora) -> None:
    told = aspora.run("watch", "executions")
    assert told.code == 4
    assert "aspora logs DOMAIN/SKILL" in told.err
    assert "aspora get nodes" in aspora.run("watch", "nodes").err


def test_explain_says_how_to_go_deeper(aspora: Aspora) -> None:
    last = aspora.ok("explain", "skill.spec").rpartition("\n\n")[2].replace("\n", " ")
    match = re.search(r"Deeper: (aspora explain )?(skill\.spec\.\w+), also \.", last)
    assert match is not None, last
    assert "Deeper" not in aspora.ok("explain", match[2])
    assert "Deeper" not in aspora.ok("explain", "skill.spec", "--recursive")
    assert "costMicroUsd  <integer>, required, at least 0" in aspora.ok("explain", "execution.status")


def test_an_unknown_domain_is_made_as_the_refusal_says(aspora: Aspora) -> None:
    refused = aspora.run("run", "new-team/anything", "hi")
    words = re.search(r"create it with 'aspora (create domain new-team)'", refused.err)
    assert words is not None, refused.err
    assert "domain/new-team created" in aspora.ok(*words[1].split(), "--owner-team", "ops")
    assert "ops" in aspora.ok("get", "domain", "new-team")
    again = aspora.run("create", "domain", "new-team")
    assert again.code == 4
    assert "there is a domain 'new-team' already" in again.err


def test_a_new_key_reaches_what_its_role_allows_and_no_further(aspora: Aspora) -> None:
    key = aspora.ok("create", "apikey", "reader", "--role", "viewer", "-d", "wealth", "--expires", "1h").strip()
    assert re.fullmatch(r"aspora_wealth\.reader_[0-9a-f]{64}", key)
    environ = {**aspora.environ, "ASPORA_URL": aspora.url, "ASPORA_API_KEY": key, "ASPORA_DATA_DIR": os.devnull + "x"}
    reader = Aspora(aspora.data_dir, environ)
    assert reader.ok("get", "skills", "-o", "name").split() == [
        "skill/wealth/create-goal",
        "skill/wealth/fx-timing",
    ]
    assert reader.run("get", "skill", "ecm/order-details").code == 4
    assert reader.run("delete", "skill", "wealth/create-goal").code == 4
    again = aspora.run("create", "apikey", "reader", "--role", "viewer", "-d", "wealth")
    assert again.code == 4
    assert "aspora delete apikey wealth/reader" in again.err
    assert key not in aspora.ok("get", "apikey", "wealth/reader", "-o", "json")
