import io
import os
import tempfile
import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.cli.wanted import find_wanted, load_wanted, problems_of, split_documents
from aspora.meta.errors import StatusError
from aspora.skills import InvalidSkill
from aspora.skills.scaffold import create_skill

DOMAIN = "apiVersion: aspora.dev/v1\nkind: Domain\nmetadata:\n  name: hr\n"
MODEL = "apiVersion: aspora.dev/v1\nkind: Model\nmetadata:\n  name: m\nspec:\n  note: 'a --- b'\n"


def manifest(tmp_path: Path, text: str) -> str:
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    return str(path)


def test_documents_know_their_first_line() -> None:
    text = "a: 1\n---\n\nb: 2\n--- # note\nc: 3\n...\n---\n"
    assert [(part.strip(), line) for part, line in split_documents(text)] == [
        ("a: 1", 1),
        ("b: 2", 2),
        ("# note\nc: 3", 5),
    ]


@given(st.lists(st.integers(0, 99), max_size=5))
def test_documents_come_apart_as_they_were_joined(numbers: list[int]) -> None:
    parts = [part.strip() for part, _ in split_documents("\n---\n".join(f"n: {n}" for n in numbers))]
    assert parts == [f"n: {n}" for n in numbers]


def test_domains_come_first(tmp_path: Path) -> None:
    found = find_wanted(manifest(tmp_path, f"{MODEL}---\n{DOMAIN}"))
    assert [w.object["kind"] for w in found.wanted] == ["Domain", "Model"]
    assert found.wanted[1].source.endswith("objects.yaml:1")
    assert found.wanted[0].source.endswith("objects.yaml:8")


@pytest.mark.parametrize("text", ["", "\0\0\0", "apiVersio", "kind: Domain\nmetadata:\n  name: b\n"])
def test_a_manifest_that_may_be_damaged_is_not_taken_for_gone(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(DOMAIN)
    assert find_wanted(str(tmp_path)).passed_over == []
    (tmp_path / "b.yaml").write_text(text)
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    found = find_wanted(str(tmp_path))
    assert [Path(name).name for name in found.passed_over] == ["b.yaml", "c.yaml"]
    assert [w.name for w in found.wanted] == ["hr"]


def test_a_skill_that_is_a_link_to_nowhere_is_not_taken_for_gone(tmp_path: Path) -> None:
    create_skill(tmp_path, "hr/one", lang="markdown")
    assert find_wanted(str(tmp_path)).passed_over == []
    (tmp_path / "hr" / "two").symlink_to(tmp_path / "nowhere")
    assert [Path(name).name for name in find_wanted(str(tmp_path)).passed_over] == ["two"]


def test_the_lists_that_get_prints_come_back(tmp_path: Path) -> None:
    items = "".join(textwrap.indent(text, "  ").replace("  ", "- ", 1) for text in (DOMAIN, MODEL))
    found = find_wanted(manifest(tmp_path, f"apiVersion: aspora.dev/v1\nkind: ThingList\nitems:\n{items}"))
    assert [w.name for w in found.wanted] == ["hr", "m"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no object"),
        ("# only a comment\n", "holds no object"),
        ("- 1\n", "must be a map"),
        ("kind: Domain\nmetadata: {name: x}\n", "apiVersion: must be 'aspora.dev/v1'"),
        ("apiVersion: aspora.dev/v1\nmetadata: {name: x}\n", "kind: is required"),
        ("apiVersion: aspora.dev/v1\nkind: Domain\n", "metadata.name: is required"),
        (
            "apiVersion: aspora.dev/v1\nkind: Domain\nmetadata: {name: 123}\n",
            "metadata.name: must be text, not 123; put it in quotes",
        ),
        ("apiVersion: aspora.dev/v1\nkind: 1\nmetadata: {name: x}\n", "kind: must be text, not 1"),
        ("apiVersion: aspora.dev/v1\nkind: Domain\nmetadata: {name: x}\nspec: 3\n", "spec: must be a map"),
        ("apiVersion: aspora.dev/v1\nkind: Skill\nmetadata: {name: x, domain: b}\n", "-d says 'a'"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b", "is not YAML"),
        ("kind: Domain\nkind: Model\n", "comes twice: in line 1 and here"),
        ("a:\n\tb: 1\n", "a tab can't indent"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = find_wanted(manifest(tmp_path, text), domain="a")
    assert found.wanted == []
    told = "\n".join(p for r in found.refused for p in problems_of(r.error))
    assert expected in told
    assert "objects.yaml" in told


def test_one_wrong_document_does_not_hide_the_others(tmp_path: Path) -> None:
    found = find_wanted(manifest(tmp_path, f"kind: 3\n---\n{DOMAIN}"))
    assert [w.name for w in found.wanted] == ["hr"]
    assert len(found.refused) == 1


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(DOMAIN.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert [w.name for w in find_wanted("-").wanted] == ["hr"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    with pytest.raises(InvalidSkill, match="not UTF-8"):
        find_wanted("-")


def test_a_folder_of_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DOMAIN)
    (tmp_path / "b.yml").write_text(MODEL)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    assert [w.name for w in find_wanted(str(tmp_path)).wanted] == ["hr", "m"]


@pytest.mark.parametrize("head", ["", "# Our domain.\n---\n", "\ufeff", '"kind": Domain\n'])
def test_a_manifest_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, head: str) -> None:
    path = tmp_path / "domain.yaml"
    path.write_text(head + (DOMAIN.replace("kind: Domain\n", "") if "kind" in head else DOMAIN))
    (tmp_path / "model.yaml").write_text(MODEL)
    assert [w.name for w in find_wanted(str(path)).wanted] == ["hr"]
    assert [w.name for w in find_wanted(str(tmp_path / "model.yaml")).wanted] == ["m"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two domains, three skills."""
    root = tmp_path / "skills"
    create_skill(root, "hr/screen")
    create_skill(root, "hr/interview", lang="markdown")
    create_skill(root, "ops/page", lang="markdown")
    return root


def names(found: Any) -> list[str]:
    return ["/".join(p for p in (w.object["kind"], w.domain, w.name) if p) for w in found]


def test_a_tree(tree: Path) -> None:
    wanted = load_wanted(tree)
    assert names(wanted) == ["Domain/hr", "Domain/ops", "Skill/hr/interview", "Skill/hr/screen", "Skill/ops/page"]
    assert not any(w.if_absent for w in wanted)
    assert all((w.artifact is not None) == (w.object["kind"] == "Skill") for w in wanted)


def test_a_domain(tree: Path) -> None:
    assert names(load_wanted(tree / "hr")) == ["Domain/hr", "Skill/hr/interview", "Skill/hr/screen"]


@pytest.mark.parametrize("path", ["hr/screen", "hr/screen/SKILL.md", "hr/screen/aspora.config.yaml"])
def test_a_skill_alone_brings_its_domain_but_does_not_change_it(tree: Path, path: str) -> None:
    wanted = load_wanted(tree / path)
    assert names(wanted) == ["Domain/hr", "Skill/hr/screen"]
    assert [w.if_absent for w in wanted] == [True, False]


def test_a_domains_own_file_means_its_folder(tree: Path) -> None:
    (tree / "hr" / "domain.yaml").write_text("description: |\n  kind: of hiring\n  apiVersion: aspora.dev/v1\n")
    assert names(load_wanted(tree / "hr" / "domain.yaml")) == ["Domain/hr", "Skill/hr/interview", "Skill/hr/screen"]


def test_a_domain_that_only_a_folder_names(tree: Path) -> None:
    for name in ("DOMAIN.md", "domain.yaml"):
        (tree / "ops" / name).unlink()
    wanted = load_wanted(tree)
    assert names(wanted)[:2] == ["Domain/hr", "Domain/ops"]
    assert [w.if_absent for w in wanted[:2]] == [False, True]


def test_a_broken_skill_does_not_hide_the_others(tree: Path) -> None:
    (tree / "hr" / "screen" / "SKILL.md").write_text("nothing")
    found = find_wanted(str(tree))
    assert "Skill/hr/interview" in names(found.wanted)
    assert "front matter" in problems_of(found.refused[0].error)[0]
    with pytest.raises(StatusError):
        load_wanted(tree)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSkill, match="does not exist"):
        find_wanted(str(tmp_path / "nowhere"))
    with pytest.raises(InvalidSkill, match="create skill"):
        find_wanted(str(tmp_path))


@pytest.fixture
def unprivileged_project() -> Generator[Path]:
    """A folder that everybody may enter, seen as an ordinary user sees it: nothing keeps root from reading."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        was_root = os.geteuid() == 0
        if was_root:
            os.chown(made, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(made)
        finally:
            for folder, _, _ in os.walk(made, onerror=lambda e: os.chmod(e.filename, 0o755)):
                os.chmod(folder, 0o755)
            if was_root:
                os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_folder_that_cannot_be_read_is_one_problem_among_others(unprivileged_project: Path, mode: int) -> None:
    tree = unprivileged_project / "skills"
    for name in ("hr/screen", "hr/closed", "ops/page"):
        create_skill(tree, name)
    (tree / "hr/closed").chmod(mode)
    (tree / "ops").chmod(mode)
    found = find_wanted(str(tree))
    assert [w.object["metadata"]["name"] for w in found.wanted if w.object["kind"] == "Skill"] == ["screen"]
    told = {Path(r.source).name: problems_of(r.error) for r in found.refused}
    assert sorted(told) == ["closed", "ops"]
    assert all("can't be read: Permission denied; make it readable" in told[name][0] for name in told)
    with pytest.raises(InvalidSkill, match="Permission denied"):
        find_wanted(str(tree / "ops"))


def test_a_manifest_that_cannot_be_read_is_one_problem_among_others(unprivileged_project: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (unprivileged_project / name).write_text(DOMAIN)
    (unprivileged_project / "b.yaml").chmod(0)
    found = find_wanted(str(unprivileged_project))
    assert [w.object["metadata"]["name"] for w in found.wanted] == ["hr"]
    (refused,) = found.refused
    assert "can't be read: Permission denied" in problems_of(refused.error)[0]
