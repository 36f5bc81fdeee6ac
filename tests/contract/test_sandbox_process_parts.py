"""The process driver's parts on real files and processes: copies, locks, the runtime, the process table."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from aspora.meta.errors import Unavailable
from aspora.sandbox.process import procfs, strays, tree
from aspora.sandbox.process.runtime import ensure_runtime
from aspora.sandbox.process.workspace import Workspace

MODES = (0o700, 0o000, 0o500)


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that other users may pass through; pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-sandbox-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_copy_has_the_content_and_the_execute_bits(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a/b").mkdir(parents=True)
    target.mkdir()
    (source / "a/b/data").write_bytes(bytes(range(256)) * 1000)
    (source / "a/run").write_text("#!/bin/sh\n")
    (source / "a/run").chmod(0o555)
    (source / "empty").write_text("")
    tree.copy_tree(str(source), str(target), uid=None)
    assert (target / "a/b/data").read_bytes() == bytes(range(256)) * 1000
    assert (target / "a/run").stat().st_mode & 0o777 == 0o700
    assert (target / "empty").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "fifo", "dangling"])
def test_only_files_and_folders_are_copied(tmp_path: Path, kind: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    target.mkdir()
    if kind == "fifo":
        os.mkfifo(source / "deep/it")
    else:
        (source / "deep/it").symlink_to("/etc" if kind == "link" else "nowhere")
    with pytest.raises(tree.UnfitArtifact, match="deep/it"):
        tree.copy_tree(str(source), str(target), uid=None)
    with pytest.raises(tree.UnfitArtifact, match="deep/it"):
        tree.check_tree(str(source))


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_is_removed_whatever_was_made_of_it(tmp_path: Path, mode: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (".removing-0", ".removing-1", "x"):  # also the names that removal itself uses
        (folder / name / "inner" / "more").mkdir(parents=True)
        (folder / name / "inner" / "file").write_text("")
    (folder / "link").symlink_to(outside)
    (folder / "x" / "inner" / "link").symlink_to(outside)
    (folder / "x" / "inner").chmod(mode)
    (folder / "x").chmod(mode)
    tree.remove_tree(str(folder))
    assert not folder.exists()
    assert (outside / "kept").read_text() == "kept"
    tree.remove_tree(str(folder))  # nothing there is fine


def test_a_folder_too_deep_for_a_path_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    made = subprocess.run(
        [sys.executable, "-c", "import os\nfor _ in range(3000):\n    os.mkdir('d' * 50)\n    os.chdir('d' * 50)"],
        cwd=folder,
        check=True,
    )
    assert made.returncode == 0
    tree.remove_tree(str(folder))
    assert not folder.exists()


def test_processes_of_a_folder_are_ended_and_no_others(tmp_path: Path) -> None:
    inside, beside = tmp_path / "job", tmp_path / "job-2"
    for folder in (inside / "work", beside):
        folder.mkdir(parents=True)
    sleep = [sys.executable, "-c", "import time; time.sleep(20)"]
    by_cwd = subprocess.Popen(sleep, cwd=inside / "work")
    by_home = subprocess.Popen(sleep, cwd="/", env={"HOME": str(inside / "work")})
    other = subprocess.Popen(sleep, cwd=beside, env={"HOME": str(beside)})
    try:
        strays.end_those_in(inside)
        assert by_cwd.wait(15) == by_home.wait(15) == -9
        assert other.poll() is None
    finally:
        for process in (by_cwd, by_home, other):
            process.kill()
            process.wait()


def test_the_process_table_is_read() -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '20']); print(p.pid, flush=True); time.sleep(20)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert procfs.descendants(parent.pid) == [child]
        use = procfs.tree_use([parent.pid, child])
        assert use.tasks == 2
        exact_bytes = procfs.proportional_bytes([parent.pid, child])
        assert exact_bytes is not None
        assert 1 << 20 < exact_bytes <= use.rss_bytes
        assert procfs.count_user_tasks(os.getuid()) >= 2
        assert {parent.pid, child} <= set(procfs.pids_of_user(os.getuid()))
        os.kill(child, 9)
    finally:
        parent.kill()
        parent.communicate()


def test_a_live_workspace_is_left_alone_and_a_dead_one_removed(tmp_path: Path) -> None:
    live = Workspace(work_dir=tmp_path, name="live", uids=None)
    live.open()
    (live.new_place().folder / "copy").mkdir()
    (tmp_path / "dead" / "slot-0" / "copy").mkdir(parents=True)
    (tmp_path / "dead.lock").write_text("")
    (tmp_path / "stranger").mkdir()
    second = Workspace(work_dir=tmp_path, name="second", uids=None)
    second.open()
    assert {path.name for path in tmp_path.iterdir()} == {"live", "live.lock", "second", "second.lock", "stranger"}
    assert (tmp_path / "live/slot-0/copy").is_dir()
    second.close()
    live.close()
    assert {path.name for path in tmp_path.iterdir()} == {"stranger"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives jobs another user")
def test_a_user_is_claimed_once(open_folder: Path) -> None:
    uids = range(60780, 60783)
    first = Workspace(work_dir=open_folder, name="first", uids=uids)
    second = Workspace(work_dir=open_folder, name="second", uids=uids)
    busy = subprocess.Popen(["sleep", "20"], user=60781, group=60781, extra_groups=[])
    try:
        for workspace in (first, second):
            workspace.open()
        assert [first.new_place().uid, second.new_place().uid] == [60780, 60782]  # 60781 has a process
        with pytest.raises(Unavailable, match="60780-60782"):
            second.new_place()
    finally:
        busy.kill()
        busy.wait()
        first.close()
        second.close()


BUILD = """
import sys
from pathlib import Path
from aspora.sandbox.process.runtime import ensure_runtime
print(ensure_runtime(runtime_dir=Path(sys.argv[1]), uid=None).sdk_root)
"""


def test_a_runtime_is_made_once_and_whole(open_folder: Path) -> None:
    folder = open_folder / "runtime"
    folder.mkdir()
    (folder / ".making-left-by-a-crash").mkdir()
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILD, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    roots = [Path(builder.communicate(timeout=60)[0].strip()) for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert roots[0] == roots[1]
    assert {path.name for path in folder.iterdir()} == {roots[0].name, ".lock"}
    assert len(list(roots[0].rglob("*.pyc"))) == len(list(roots[0].rglob("*.py"))) > 0
    assert roots[0].stat().st_mode & 0o777 == 0o755


def test_a_runtime_others_may_write_is_refused(open_folder: Path) -> None:
    runtime = ensure_runtime(runtime_dir=open_folder, uid=None)
    runtime.sdk_root.chmod(0o777)
    with pytest.raises(Unavailable, match="others may write"):
        ensure_runtime(runtime_dir=open_folder, uid=None)
