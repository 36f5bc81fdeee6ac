from pathlib import Path

import pytest

from aspora.meta.errors import AlreadyExists, Invalid
from aspora.skills import create_skill, find_skills, load_domain, load_skill
from aspora_sdk import load_test_cases


@pytest.mark.parametrize("lang", ["python", "markdown"])
@pytest.mark.parametrize("name", ["resume-screen", "a", "2024", "no", "on-call"])
@pytest.mark.parametrize("role", ["manager", "specialist", "field"])
def test_what_is_made_validates_strictly(tmp_path: Path, lang: str, name: str, role: str) -> None:
    created = create_skill(tmp_path / "skills", f"hr/{name}", role=role, lang=lang)
    skill = load_skill(created.folder)
    assert not skill.warnings
    assert (skill.id, skill.spec["role"], skill.spec["runtime"]["language"]) == (f"hr/{name}", role, lang)
    assert load_domain(created.folder.parent).object["spec"]["displayName"] == "Hr"
    assert created.new_domain
    assert all(path.is_file() for path in created.files)
    assert not list(created.folder.parent.glob(".*"))


def test_a_second_skill_leaves_the_domain_alone(tmp_path: Path) -> None:
    create_skill(tmp_path, "hr/one")
    (tmp_path / "hr" / "DOMAIN.md").write_text("# Mine\n")
    created = create_skill(tmp_path, "hr/two", lang="markdown")
    assert not created.new_domain
    assert (tmp_path / "hr" / "DOMAIN.md").read_text() == "# Mine\n"
    assert [p.folder.name for p in find_skills(tmp_path).skills] == ["one", "two"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = create_skill(tmp_path, "hr/one").folder
    (folder / "SKILL.md").write_text("mine")
    with pytest.raises(AlreadyExists, match="choose another name"):
        create_skill(tmp_path, "hr/one")
    assert (folder / "SKILL.md").read_text() == "mine"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        create_skill(tmp_path, "h_r/resume--screen", role="boss", lang="pyton")
    assert [d.field for d in caught.value.details] == ["domain", "name", "role", "lang"]
    assert "did you mean 'python'?" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("skill_id", ["../evil/x", "/etc/x", "a/b/c", ""])
def test_ids_never_leave_the_root(tmp_path: Path, skill_id: str) -> None:
    with pytest.raises(Invalid):
        create_skill(tmp_path / "root", skill_id)
    assert not list(tmp_path.iterdir())


def test_an_id_without_a_domain_takes_the_given_one(tmp_path: Path) -> None:
    assert create_skill(tmp_path, "one", domain="hr").folder == tmp_path / "hr" / "one"


def test_the_golden_cases_are_cases(tmp_path: Path) -> None:
    folder = create_skill(tmp_path, "hr/one").folder
    assert len(load_test_cases(folder / "tests" / "golden.jsonl")) == 2
