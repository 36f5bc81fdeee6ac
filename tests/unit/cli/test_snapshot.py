import os
from pathlib import Path

from aspora.cli.snapshot import changes, snapshot


def test_a_change_is_told_once_it_has_settled(tmp_path: Path) -> None:
    steps = iter(
        [
            lambda: (tmp_path / "a").write_text("1"),
            lambda: (tmp_path / "b").write_text("2"),
            lambda: None,
            lambda: None,
            (tmp_path / "a").unlink,
            lambda: None,
        ]
    )
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        next(steps)()

    told = changes([str(tmp_path)], since=snapshot([str(tmp_path)]), sleep=sleep)
    assert next(told) == f"{tmp_path / 'a'} and 1 more"
    assert looks == 3
    assert next(told) == str(tmp_path / "a")
    assert looks == 6


def test_what_tools_leave_behind_is_no_change(tmp_path: Path) -> None:
    before = snapshot([str(tmp_path)])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("")
    assert snapshot([str(tmp_path)]) == before


def test_links_and_single_files(tmp_path: Path) -> None:
    os.symlink("/nonexistent", tmp_path / "link")
    (tmp_path / "file").write_text("abc")
    assert [size for _, size in snapshot([str(tmp_path / "file")]).values()] == [3]
    assert str(tmp_path / "link") in snapshot([str(tmp_path)])


def test_an_edit_made_before_the_first_look_is_told(tmp_path: Path) -> None:
    before = snapshot([str(tmp_path)])
    (tmp_path / "a").write_text("1")
    assert next(changes([str(tmp_path)], since=before, sleep=lambda seconds: None)) == str(tmp_path / "a")
