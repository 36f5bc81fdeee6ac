import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aspora.testing.folders import throwaway_folder


def test_it_is_gone_afterwards_even_when_the_block_and_the_end_fail(tmp_path: Path) -> None:
    ended: list[Path] = []

    def end(folder: Path) -> None:
        ended.append(folder)
        raise OSError("it does not end")

    def use() -> None:
        with throwaway_folder("x", parent=tmp_path, mode=0o755, end=end) as folder:
            (folder / "file").touch()
            assert folder.stat().st_mode & 0o777 == 0o755
            raise ZeroDivisionError

    with pytest.raises(OSError, match="does not end"):
        use()
    assert len(ended) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_test_process_left_is_removed_and_what_others_use_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, used, other = (tmp_path / f"aspora-{name}" for name in (f"x-{dead.pid}-1", f"x-{os.getpid()}-1", "y-1-1"))
    for folder in (left, used, other):
        folder.mkdir()
    with throwaway_folder("x", parent=tmp_path):
        assert not left.exists()
    assert used.exists()
    assert other.exists()


def test_a_folder_that_is_still_written_to_is_removed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []
    really = shutil.rmtree

    def rmtree(folder: Path) -> None:
        tries.append(folder)
        if len(tries) < 3:
            raise OSError("Directory not empty")
        really(folder)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with throwaway_folder("x", parent=tmp_path) as folder:
        pass
    assert not folder.exists()
    assert len(tries) == 3
