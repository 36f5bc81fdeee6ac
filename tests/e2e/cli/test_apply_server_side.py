"""Field managers, pruning and editing, as people meet them at the command line."""

import json
import stat
import sys
from pathlib import Path

import pytest
from tests.e2e.server import Aspora, Done


@pytest.fixture(scope="module")
def aspora(running_aspora: Aspora) -> Aspora:
    """A server that a module's tests share."""
    return running_aspora


def domain(name: str, *, team: str = "red", **spec: object) -> str:
    """A manifest."""
    wire = {
        "apiVersion": "aspora.dev/v1",
        "kind": "Domain",
        "metadata": {"name": name, "labels": {"team": team}},
        "spec": spec,
    }
    return json.dumps(wire) + "\n---\n"


def spec_of(aspora: Aspora, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(aspora.ok("get", "domain", name, "-o", "json"))["spec"]
    return found


def test_two_managers_and_one_field(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("shared", ownerTeam="people"))
    aspora.ok("apply", "-f", str(file))
    file.write_text(domain("shared", ownerTeam="finance"))
    refused = aspora.run("apply", "-f", str(file), "--field-manager", "pipeline")
    assert refused.code == 4
    assert "spec.ownerTeam" in refused.err
    assert "aspora-cli" in refused.err
    assert "--force-conflicts" in refused.err
    assert spec_of(aspora, "shared")["ownerTeam"] == "people"
    differs = aspora.run("diff", "-f", str(file), "--field-manager", "pipeline", "--force-conflicts")
    assert differs.code == 1
    assert "+  ownerTeam: finance" in differs.out
    aspora.ok("apply", "-f", str(file), "--field-manager", "pipeline", "--force-conflicts")
    assert spec_of(aspora, "shared")["ownerTeam"] == "finance"
    assert "unchanged" in aspora.ok("apply", "-f", str(file), "--field-manager", "pipeline")
    assert "managedFields" not in aspora.ok("get", "domain", "shared", "-o", "yaml")
    shown = aspora.ok("get", "domain", "shared", "-o", "yaml", "--show-managed-fields")
    assert "manager: pipeline" in shown
    file.write_text(domain("shared"))
    aspora.ok("apply", "-f", str(file), "--field-manager", "pipeline")
    assert "ownerTeam" not in spec_of(aspora, "shared")


def test_some_fail_and_each_is_told(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "several.yaml"
    file.write_text(domain("good-one") + domain("Bad Name") + domain("good-two", nothing="x") + domain("good-three"))
    done = aspora.run("apply", "-f", str(file))
    assert done.code == 4
    assert "domain/good-one created" in done.out
    assert "domain/good-three created" in done.out
    assert "2 created, 2 failed" in done.out
    assert "spec.nothing" in done.err


def test_pruning_takes_what_is_not_there_any_more(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(domain("keep", team="prune") + domain("drop", team="prune") + domain("other", team="else"))
    aspora.ok("apply", "-f", str(file))
    file.write_text(domain("keep", team="prune"))
    unsure = aspora.run("apply", "-f", str(file), "--prune")
    assert unsure.code == 2
    assert "-l team=red" in unsure.err
    command = ("apply", "-f", str(file), "--prune", "-l", "team=prune")
    assert "domain/drop pruned (dry run)" in aspora.ok(*command, "--dry-run")
    assert "drop" in aspora.ok("get", "domains", "-o", "name")
    out = aspora.ok(*command)
    assert "domain/drop pruned\n" in out
    assert "1 unchanged, 1 pruned" in out
    left = aspora.ok("get", "domains", "-o", "name")
    assert "domain/keep" in left
    assert "domain/other" in left
    assert "domain/drop" not in left
    file.write_text(domain("keep", team="prune") + domain("Bad Name", team="prune"))
    broken = aspora.run(*command)
    assert "nothing is pruned" in broken.err


def test_a_selector_that_selects_nothing_is_refused(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(domain("chosen", team="chosen"))
    for more in ((), ("--prune",)):
        done = aspora.run("apply", "-f", str(file), "-l", "team=chosne", *more)
        assert done.code == 4
        assert "has the labels 'team=chosne', so nothing is applied" in done.err
        assert "team=chosen" in done.err


def test_the_last_object_of_a_domain_is_told_and_pruned_when_everywhere_is_meant(
    aspora: Aspora, tmp_path: Path
) -> None:
    role = {"apiVersion": "aspora.dev/v1", "kind": "Role", "metadata": {"name": "last", "domain": "left"}}
    file = tmp_path / "set.yaml"
    file.write_text(domain("left") + domain("right"))
    aspora.ok("apply", "-f", str(file))
    file.write_text(json.dumps({**role, "spec": {"rules": []}}) + "\n---\n" + domain("right"))
    command = ("apply", "-f", str(file), "--prune", "--field-manager", "pipeline-left", "--force-conflicts")
    aspora.ok(*command)
    file.write_text(domain("right"))
    told = aspora.run(*command)
    assert (told.code, "role/left/last" in told.err, "with -A" in told.err) == (0, True, True)
    assert "role/left/last pruned" in aspora.ok(*command, "-A")
    assert "1 unchanged\n" in aspora.ok(*command, "-A")


def test_nothing_is_pruned_beside_a_damaged_manifest(aspora: Aspora, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(domain("whole", team="damaged"))
    (tmp_path / "b.yaml").write_text(domain("cut", team="damaged"))
    aspora.ok("apply", "-f", str(tmp_path))
    (tmp_path / "b.yaml").write_text("")
    done = aspora.run("apply", "-f", str(tmp_path), "--prune", "-l", "team=damaged")
    assert done.code == 4
    assert "b.yaml can't be told for a manifest" in done.err
    assert "domain/cut" in aspora.ok("get", "domains", "-o", "name")


def test_a_manifest_of_a_stale_version_is_refused(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("stale", ownerTeam="people"))
    aspora.ok("apply", "-f", str(file))
    file.write_text(aspora.ok("get", "domain", "stale", "-o", "yaml").replace("people", "others"))
    assert "configured" in aspora.ok("apply", "-f", str(file))
    file.write_text(file.read_text().replace("others", "third"))
    done = aspora.run("apply", "-f", str(file))
    assert done.code == 4
    assert "has changed" in done.err


def edit(aspora: Aspora, editor: Path, *words: str) -> Done:
    """Run `aspora edit` with a program as the editor."""
    return Aspora(aspora.data_dir, {**aspora.environ, "EDITOR": str(editor)}).run("edit", *words)


def editor_that(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "editor"
    path.write_text(f'#!/bin/sh\nfile="$1"\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_edit(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("edited", ownerTeam="people"))
    aspora.ok("apply", "-f", str(file))
    untouched = edit(aspora, editor_that(tmp_path, "true"), "domain", "edited")
    assert (untouched.code, untouched.err) == (0, "nothing was changed\n")
    changed = edit(aspora, editor_that(tmp_path, "sed -i s/people/finance/ $file"), "domain/edited")
    assert changed.out == "domain/edited edited\n"
    assert spec_of(aspora, "edited")["ownerTeam"] == "finance"
    assert "spec.ownerTeam" in aspora.run("apply", "-f", str(file)).err


def test_edit_gives_what_was_refused_back(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("refused"))
    aspora.ok("apply", "-f", str(file))
    notes = tmp_path / "seen"
    script = f"cat $file >> {notes}\nif grep -q wrongField $file; then sed -i s/wrongField/ownerTeam/ $file; else "
    script += "sed -i 's/^  displayName: .*/  wrongField: x/' $file; fi"
    done = edit(aspora, editor_that(tmp_path, script), "domain", "refused")
    assert done.code == 0, done.err
    assert spec_of(aspora, "refused")["ownerTeam"] == "x"
    assert "# spec.wrongField: " in notes.read_text()


def test_an_edit_given_up_fails_with_the_reason(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("hopeless"))
    aspora.ok("apply", "-f", str(file))
    script = "sed -i 's/^  displayName: .*/  wrongField: x/' $file"
    done = edit(aspora, editor_that(tmp_path, script), "domain", "hopeless")
    assert (done.code, done.out) == (4, "")
    given_up, kept, reason = done.err.splitlines()
    assert given_up == "given up; nothing was changed"
    assert "spec.wrongField: unknown field 'wrongField'" in reason
    text = Path(kept.split("kept in ")[1])
    assert "wrongField: x" in text.read_text()
    text.unlink()


def test_edit_keeps_the_text_when_it_can_not_be_sent(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text(domain("raced"))
    aspora.ok("apply", "-f", str(file))
    file.write_text(domain("raced", ownerTeam="quick"))
    race = f"'{tmp_path}/other'\nsed -i 's/^  displayName: .*/  displayName: slow/' $file"
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\nexec {sys.executable} -m aspora apply -f {file}\n")
    other.chmod(0o755)
    done = edit(aspora, editor_that(tmp_path, race), "domain", "raced")
    assert done.code == 4
    assert "edit it again" in done.err
    kept = Path(done.err.strip().splitlines()[0].split("kept in ")[1])
    assert "slow" in kept.read_text()
    kept.unlink()
    assert spec_of(aspora, "raced")["ownerTeam"] == "quick"


def test_editors_that_fail(aspora: Aspora, tmp_path: Path) -> None:
    assert "set EDITOR" in edit(aspora, tmp_path / "none", "domain", "default").err
    failed = edit(aspora, editor_that(tmp_path, "exit 3"), "domain", "default")
    assert failed.code != 0
    assert "exit code 3" in failed.err


def test_in_the_name_of_another(aspora: Aspora) -> None:
    told = aspora.run("--as", "nobody-in-particular", "get", "rolebindings")
    assert told.code == 4
    assert "nobody-in-particular" in told.err
