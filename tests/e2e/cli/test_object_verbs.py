"""Waiting, selecting, following and completing, against a real server."""

import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.server import Aspora

MODEL = """apiVersion: aspora.dev/v1
kind: Domain
metadata: {{name: {name}, labels: {{team: {team}}}}}
spec: {{}}
---
"""


@pytest.fixture(scope="module")
def aspora(running_aspora: Aspora) -> Aspora:
    """A server that a module's tests share."""
    return running_aspora


@pytest.fixture
def domains(aspora: Aspora, tmp_path: Path) -> Generator[Path]:
    """A manifest of three domains, two of one team; applied, and gone at the end."""
    manifest = tmp_path / "domains.yaml"
    names = {"alpha": "red", "beta": "red", "gamma": "blue"}
    manifest.write_text("".join(MODEL.format(name=name, team=team) for name, team in names.items()))
    aspora.ok("apply", "-f", str(manifest))
    yield manifest
    aspora.ok("delete", "-f", str(manifest), "--ignore-not-found")


def test_wait_for_a_skill_and_for_its_end(aspora: Aspora) -> None:
    aspora.ok("apply", "-f", "skills/wealth/create-goal", "--no-wait")
    done = aspora.ok("wait", "skill/wealth/create-goal", "--for", "condition=Ready")
    assert done == "skill/wealth/create-goal has condition=Ready\n"
    late = aspora.run("wait", "skill", "wealth/create-goal", "--for", "delete", "--timeout", "100ms")
    assert late.code == 1
    assert "delete did not come in time" in late.err
    with subprocess.Popen(
        [sys.executable, "-m", "aspora", "wait", "skill/wealth/create-goal", "--for", "delete", "--timeout", "60s"],
        env=dict(aspora.environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        aspora.ok("delete", "skill", "wealth/create-goal")
        out, _ = waiting.communicate(timeout=90)
    assert waiting.returncode == 0, out
    assert "skill/wealth/create-goal deleted" in out
    gone = aspora.run("wait", "skill/wealth/create-goal", "--for", "condition=Ready", "--timeout", "1s")
    assert gone.code == 4
    assert "not found in domain 'wealth'" in gone.err


def test_wait_for_a_record(aspora: Aspora) -> None:
    aspora.ok("apply", "-f", "skills/wealth/create-goal")
    ran = aspora.run("run", "wealth/create-goal", "hello", "-o", "json").out
    execution = next(word.strip('",') for word in ran.split() if word.startswith('"EXEC-'))
    told = aspora.ok("wait", f"execution/{execution}", "--for", ".status.state=Succeeded", "--timeout", "10s")
    assert told.strip().endswith("has .status.state=Succeeded")
    late = aspora.run("wait", f"execution/{execution}", "--for", ".status.state=Failed", "--timeout", "1s")
    assert late.code == 1
    assert "status.state is 'Succeeded'" in late.err


def test_bad_wishes(aspora: Aspora) -> None:
    for words, hint in (
        (["wait", "skills", "--for", "delete"], "which skills"),
        (["wait", "skill/x", "--for", "ready"], "condition=Ready"),
        (["wait", "skill/x", "--for", "delete", "--timeout", "soon"], "duration"),
        (["wait", "skill/x", "-l", "a=b", "--for", "delete"], "not both"),
        (["delete"], "say which"),
        (["delete", "-f", "x.yaml", "skill", "y"], "not both"),
        (["get", "skills", "a/b", "c/d", "-w"], "aspora wait"),
        (["get", "executions", "-w"], "aspora logs"),
        (["get", "skills", "--as", ""], "--as names nobody"),
        (["edit", "skill"], "name one object"),
    ):
        told = aspora.run(*words)
        assert told.code != 0, words
        assert hint in told.err, (words, told.err)


def test_selectors_choose_what_is_described_and_deleted(aspora: Aspora, domains: Path) -> None:
    told = aspora.ok("describe", "domains", "-l", "team=red")
    assert "alpha" in told
    assert "beta" in told
    assert "gamma" not in told
    would = aspora.ok("delete", "domains", "-l", "team=red", "--dry-run")
    assert would == "domain/alpha would be deleted\ndomain/beta would be deleted\n"
    assert aspora.ok("delete", "domains", "-l", "team in (red)") == "domain/alpha deleted\ndomain/beta deleted\n"
    assert aspora.run("delete", "domains", "-l", "team=red").code == 4
    assert "gamma" in aspora.ok("get", "domains", "-l", "team=blue", "-o", "name")
    assert aspora.ok("delete", "-f", str(domains), "--ignore-not-found") == "domain/gamma deleted\n"


def test_get_goes_on_with_what_changes(aspora: Aspora, tmp_path: Path) -> None:
    manifest = tmp_path / "delta.yaml"
    with subprocess.Popen(
        [sys.executable, "-m", "aspora", "get", "domains", "-w"],
        env=dict(aspora.environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        assert next(lines).startswith("NAME")
        assert any(line.startswith("default ") for line in lines)
        manifest.write_text(MODEL.format(name="delta", team="red"))
        aspora.ok("apply", "-f", str(manifest))
        assert any(line.startswith("delta ") for line in lines)
        aspora.ok("delete", "domain", "delta")
        assert any(line.startswith("delta ") and line.rstrip().endswith("(deleted)") for line in lines)
        watching.terminate()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_words(aspora: Aspora, domains: Path) -> None:
    def completed(*words: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in ("aspora", *words))
        script = (
            f"aspora() {{ '{sys.executable}' -m aspora \"$@\"; }}\n"
            f"source <(aspora completion bash)\nCOMP_WORDS=({typed}) COMP_CWORD={len(words)}\n"
            "compopt() { :; }\n_aspora_complete\nprintf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(
            ["bash", "-c", script], env=dict(aspora.environ), capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert completed("desc") == ["describe"]
    assert completed("get", "domains", "al") == ["alpha"]
    assert completed("describe", "domain/ga") == ["domain/gamma"]
    assert "json" in completed("get", "domains", "-o", "")


def test_an_applied_key_is_shown_once(running_aspora: Aspora, tmp_path: Path) -> None:
    running_aspora.run("create", "domain", "keys")
    manifest = tmp_path / "key.yaml"
    manifest.write_text(
        "apiVersion: aspora.dev/v1\nkind: ApiKey\nmetadata: {name: my-app, domain: keys}\n"
        "spec: {owner: admin, budgets: [{window: month, capMicroUsd: 5000000}]}\n"
    )
    first, again = (running_aspora.run("apply", "-f", str(manifest)) for _ in range(2))
    (key,) = [line for line in first.out.splitlines() if line.startswith("aspora_keys.my-app_")]
    assert running_aspora.http("GET", "/api/v1/whoami", key=key)[0] == 200
    assert "not shown again" in first.err
    assert "unchanged" in again.out
    assert "aspora_keys" not in again.out
