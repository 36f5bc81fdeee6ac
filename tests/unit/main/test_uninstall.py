import fcntl
import io
import os
from pathlib import Path

import pytest

from aspora.cli.output import Output
from aspora.main.settings import Settings
from aspora.main.uninstall import uninstall


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    sealed = folder / "cache" / "artifacts" / "abc"
    sealed.mkdir(parents=True)
    (sealed / "SKILL.md").write_text("x")
    (sealed / "SKILL.md").chmod(0o444)
    sealed.chmod(0o555)
    (folder / "aspora.lock").write_text("")
    (folder / "admin.key").write_text("k")
    return folder


def call(folder: Path, *, confirmed: bool) -> tuple[int, str, str]:
    out = Output(io.StringIO(), io.StringIO())
    code = uninstall(Settings(data_dir=folder), out, confirmed=confirmed)
    return code, out.stdout.getvalue(), out.stderr.getvalue()  # type: ignore[attr-defined]


def test_nothing_goes_unless_confirmed(data_dir: Path) -> None:
    code, out, _ = call(data_dir, confirmed=False)
    assert code == 0
    assert "would remove" in out
    assert (data_dir / "admin.key").exists()


def test_read_only_artifacts_go_too(data_dir: Path) -> None:
    assert call(data_dir, confirmed=True)[0] == 0
    assert not data_dir.exists()
    assert "nothing to remove" in call(data_dir, confirmed=True)[1]


def test_what_a_broken_start_left_is_aspora_s(data_dir: Path) -> None:
    (data_dir / "postgres.new-x1y2").mkdir()
    for name in ("postgres.initdb-password", "postgres.credentials.new", ".endpoint.json.abc", ".admin.key.abc"):
        (data_dir / name).write_text("x")
    (data_dir / ".doctor-abc").write_text("")
    assert call(data_dir, confirmed=True)[0] == 0
    assert not data_dir.exists()


def test_a_folder_with_a_leftover_s_name_is_a_stranger_s(data_dir: Path) -> None:
    (data_dir / ".doctor-mine").mkdir()
    code, _, err = call(data_dir, confirmed=True)
    assert code == 4
    assert ".doctor-mine" in err


def test_what_a_stranger_put_there_is_named_and_nothing_goes(data_dir: Path) -> None:
    (data_dir / "mine.txt").write_text("precious")
    code, _, err = call(data_dir, confirmed=True)
    assert code == 4
    assert "mine.txt" in err
    assert (data_dir / "admin.key").exists()


def test_the_way_on_names_the_data_directory_that_was_given(data_dir: Path) -> None:
    code, out, _ = call(data_dir, confirmed=False)
    assert (code, f"aspora uninstall --yes --data-dir {data_dir}" in out) == (0, True)


def test_a_mistyped_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    code, _, err = call(tmp_path, confirmed=True)
    assert code == 4
    assert "does not look like" in err
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_in_use_is_left_alone(data_dir: Path) -> None:
    handle = os.open(data_dir / "aspora.lock", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        code, _, err = call(data_dir, confirmed=True)
    finally:
        os.close(handle)
    assert code == 4
    assert "aspora down" in err
    assert data_dir.exists()


def test_links_are_not_followed(data_dir: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (data_dir / "cache" / "link").symlink_to(outside)
    assert call(data_dir, confirmed=True)[0] == 0
    assert (outside / "kept").exists()
