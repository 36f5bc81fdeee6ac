from collections.abc import Callable
from pathlib import Path

import pytest

from aspora.skills import InvalidSkill, Places, find_skills
from aspora.skills.places import domain_of

MakeSkill = Callable[..., Path]


def names(places: Places) -> tuple[list[str], list[str]]:
    return [d.name for d in places.domains], [f"{p.domain}/{p.folder.name}" for p in places.skills]


def bare(folder: Path) -> Path:
    """A skill in a folder whose parents say nothing."""
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("")
    return folder


def test_a_skill_brings_its_domain(make_skill: MakeSkill) -> None:
    folder = make_skill()
    for path in (folder, folder / "SKILL.md"):
        assert names(find_skills(path)) == (["demo"], ["demo/toy"])


def test_a_domain_a_tree_and_a_project(make_skill: MakeSkill) -> None:
    folder = make_skill()
    make_skill(name="second")
    make_skill(domain="other")
    assert names(find_skills(folder.parent)) == (["demo"], ["demo/second", "demo/toy"])
    everything = (["demo", "other"], ["demo/second", "demo/toy", "other/toy"])
    assert names(find_skills(folder.parents[1])) == everything
    assert names(find_skills(folder.parents[2])) == everything


def test_a_domain_file_stands_for_its_domain(make_skill: MakeSkill) -> None:
    assert names(find_skills(make_skill().parent / "DOMAIN.md")) == (["demo"], ["demo/toy"])


def test_a_tree_without_domain_files_takes_folders_for_domains(tmp_path: Path) -> None:
    bare(tmp_path / "skills" / "ecm" / "orders")
    bare(tmp_path / "skills" / "lone")
    assert names(find_skills(tmp_path / "skills")) == ([], ["ecm/orders", "None/lone"])
    assert domain_of(tmp_path / "skills" / "ecm" / "orders") == "ecm"
    assert domain_of(tmp_path / "skills" / "lone") is None


def test_what_is_no_skill_is_left_alone(make_skill: MakeSkill) -> None:
    folder = make_skill()
    for name in ("shared", ".git", "node_modules", "__pycache__", "docs"):
        (folder.parent / name).mkdir()
    assert names(find_skills(folder.parent)) == (["demo"], ["demo/toy"])


def test_an_unfinished_skill_is_found_so_that_loading_can_tell(make_skill: MakeSkill) -> None:
    folder = make_skill()
    (folder.parent / "half" / "code").mkdir(parents=True)
    assert names(find_skills(folder.parent))[1] == ["demo/half", "demo/toy"]


def test_nothing_there_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidSkill, match="holds no skill: a skill is a folder with"):
        find_skills(tmp_path)
    with pytest.raises(InvalidSkill, match="does not exist"):
        find_skills(tmp_path / "nowhere")
    (tmp_path / "skill.md").write_text("")
    with pytest.raises(InvalidSkill, match="rename it to"):
        find_skills(tmp_path)
    assert len(find_skills(tmp_path, lenient=True).skills) == 1


def test_folders_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    bare(tmp_path / "skills" / "ecm" / "orders")
    if (tmp_path / "skills" / "ecm" / "ORDERS").exists():
        pytest.skip("this file system can't hold both")
    bare(tmp_path / "skills" / "ecm" / "Orders")
    with pytest.raises(InvalidSkill, match="only in case"):
        find_skills(tmp_path / "skills")
