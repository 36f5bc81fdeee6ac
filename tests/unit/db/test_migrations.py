"""Reading migration files and comparing them with the past; no database."""

from pathlib import Path

import pytest

from aspora.db.migrate import Migration, MigrationRefused, load_migrations


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.sql").write_bytes(text.encode())
    return folder


def test_files_come_by_number_and_other_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    found = load_migrations(write(tmp_path, **{"0010_b": "select 2", "0002_a": "select 1"}))
    assert [m.name for m in found] == ["0002_a", "0010_b"]


def test_the_checksum_does_not_depend_on_line_ends(tmp_path: Path) -> None:
    unix, windows = tmp_path / "u", tmp_path / "w"
    unix.mkdir()
    windows.mkdir()
    one = load_migrations(write(unix, **{"0001_a": "select 1\nfrom x\n"}))
    other = load_migrations(write(windows, **{"0001_a": "select 1\r\nfrom x\r\n"}))
    assert one == other


@pytest.mark.parametrize("name", ["1_a", "0001-a", "0001_A", "0001_", "abcd_a"])
def test_a_badly_named_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MigrationRefused, match="is not the name of a migration"):
        load_migrations(write(tmp_path, **{name: "select 1"}))


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="share a number"):
        load_migrations(write(tmp_path, **{"0001_a": "select 1", "0001_b": "select 1"}))


def test_asporas_own_migrations_are_sound() -> None:
    own = load_migrations()
    assert own[0].name == "0000_partitions"
    assert [m.number for m in own] == sorted({m.number for m in own})


def test_a_migration_does_not_print_its_sql() -> None:
    assert "select" not in repr(Migration(number=1, slug="a", sql="select 1", checksum="c"))
