"""Where the data directory is, and whose it may be."""

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aspora.db.data_dir import (
    DataDirLock,
    check_data_dir,
    default_data_dir,
    exposure,
    first_closed,
    lock_is_held,
    own_folder,
    prepare_data_dir,
)
from aspora.db.os_user import OsUser
from aspora.meta.errors import Conflict, Forbidden, Unavailable


def test_root_keeps_data_in_a_system_folder_whatever_its_environment_says() -> None:
    assert default_data_dir({"XDG_DATA_HOME": "/root/x", "HOME": "/root"}, uid=0) == Path("/var/lib/aspora")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_DATA_HOME": "/data", "HOME": "/home/ann"}, "/data/aspora"),
        ({"XDG_DATA_HOME": "relative", "HOME": "/home/ann"}, "/home/ann/.local/share/aspora"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/share/aspora"),
    ],
)
def test_an_ordinary_user_keeps_data_at_home(environ: dict[str, str], expected: str) -> None:
    assert default_data_dir(environ, uid=1000) == Path(expected)


def test_a_user_without_home_or_account_is_told_what_to_set() -> None:
    with pytest.raises(Unavailable, match=r"user id 424242; set HOME, or .*--data-dir"):
        default_data_dir({}, uid=424242)


def test_a_new_folder_is_made_and_an_existing_ones_mode_is_left_alone(tmp_path: Path) -> None:
    uid = os.geteuid()
    made = prepare_data_dir(tmp_path / "a" / "b", uid=uid)
    assert stat.S_IMODE(made.stat().st_mode) == (0o711 if uid == 0 else 0o700)
    made.chmod(0o750)
    tmp_path.chmod(0o700)
    prepare_data_dir(made, uid=uid)
    assert stat.S_IMODE(made.stat().st_mode) == 0o750
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_others_may_write_is_told_of_and_left_as_it_is(tmp_path: Path, mode: int) -> None:
    folder = prepare_data_dir(tmp_path / "my data", uid=os.geteuid())
    assert exposure(folder) == ""
    folder.chmod(mode)
    said = exposure(prepare_data_dir(folder, uid=os.geteuid()))
    assert f"mode {mode:04o}" in said
    assert said.endswith(f"chmod go-w '{folder}'")
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_somebody_elses_folder_is_refused_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match=r"belongs to user .* and Aspora runs as '424242'.*--data-dir"):
        prepare_data_dir(tmp_path, uid=424242)


def test_looking_makes_nothing_and_refuses_what_a_start_would(tmp_path: Path) -> None:
    uid = os.geteuid()
    assert check_data_dir(tmp_path / "new", uid=uid) is None
    assert check_data_dir(tmp_path, uid=uid) == tmp_path
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Forbidden, match="belongs to user"):
        check_data_dir(tmp_path, uid=424242)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(Conflict, match=r"thesis\.tex"):
        check_data_dir(tmp_path, uid=uid)
    with pytest.raises(Unavailable, match="Not a directory"):
        check_data_dir(tmp_path / "thesis.tex", uid=uid)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="Not a directory"):
        prepare_data_dir(tmp_path / "file" / "x", uid=os.geteuid())
    with pytest.raises(Unavailable, match="Not a directory"):
        prepare_data_dir(tmp_path / "file", uid=os.geteuid())


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(Conflict, match=rf"already in use by pid {os.getpid()}") as told:
        DataDirLock(tmp_path).acquire()
    assert f"(aspora down --data-dir {tmp_path})" in told.value.message
    with DataDirLock(tmp_path):
        pass


def test_one_who_asks_for_an_instant_whether_it_is_held_does_not_refuse_the_next_holder(tmp_path: Path) -> None:
    (tmp_path / "aspora.lock").touch()
    asking = os.open(tmp_path / "aspora.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            os.close(asking)

    lock = DataDirLock(tmp_path, sleep=sleep)
    lock.acquire()
    assert len(waits) == 3
    assert lock_is_held(tmp_path)
    refused: list[float] = []
    with pytest.raises(Conflict, match="already in use"):
        DataDirLock(tmp_path, sleep=refused.append).acquire()
    assert sum(refused) == pytest.approx(0.3)
    lock.release()
    assert not lock_is_held(tmp_path)


def test_the_first_closed_folder_on_the_way_is_found(tmp_path: Path) -> None:
    stranger = OsUser(name="stranger", uid=424242, gid=424242)
    inner = tmp_path / "open" / "shut" / "inner"
    inner.mkdir(parents=True)
    for part in (tmp_path, *tmp_path.parents):
        if not part.stat().st_mode & stat.S_IXOTH:
            assert first_closed(inner, stranger) in {tmp_path, *tmp_path.parents}
            break
    me = OsUser(name="me", uid=inner.stat().st_uid, gid=inner.stat().st_gid)
    (tmp_path / "open" / "shut").chmod(0o600)
    assert first_closed(inner.parent, me) == inner.parent
    inner.parent.chmod(0o700)
    file = inner / "program"
    file.write_text("")
    file.chmod(0o200)
    assert first_closed(file, me) == file


def test_a_folder_of_somebody_elses_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(Conflict, match=r"thesis\.tex"):
        prepare_data_dir(tmp_path, uid=os.geteuid())
    (tmp_path / "aspora.lock").write_text("")
    assert prepare_data_dir(tmp_path, uid=os.geteuid()) == tmp_path.resolve()


def test_a_prepared_folder_is_known_again_whatever_was_put_into_it(tmp_path: Path) -> None:
    folder = prepare_data_dir(tmp_path / "data", uid=os.geteuid())
    (folder / "runtime").mkdir()
    assert prepare_data_dir(folder, uid=os.geteuid()) == folder
    assert not lock_is_held(folder)
    assert own_folder(folder / "runtime", uid=os.geteuid()) == folder / "runtime"
    assert list((folder / "runtime").iterdir()) == []


def _link_to_a_file(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("kept\n")
    path.symlink_to(target)


@pytest.mark.parametrize("make", [_link_to_a_file, os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_never_used_as_the_lock(tmp_path: Path, make: Callable[[Path], None]) -> None:
    lock = tmp_path / "aspora.lock"
    make(lock)

    for use in (DataDirLock(tmp_path).acquire, lambda: lock_is_held(tmp_path)):
        with pytest.raises(Forbidden) as refused:
            use()
        assert str(lock) in refused.value.message
        assert "remove it, or choose another folder" in refused.value.message
    precious = tmp_path / "precious"
    assert not precious.exists() or precious.read_text() == "kept\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_lock_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    lock = tmp_path / "aspora.lock"
    lock.write_text("theirs\n")
    os.chown(lock, 65534, 65534)

    with pytest.raises(Forbidden, match=r"belongs to user 'nobody'.*remove it"):
        DataDirLock(tmp_path).acquire()
    assert lock.read_text() == "theirs\n"
    assert not lock_is_held(tmp_path)
