import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aspora.meta.errors import Conflict, Forbidden, Invalid
from aspora.sealing.cipher import new_key
from aspora.sealing.key_file import find_key, write_key


def test_the_setting_wins_over_the_file(tmp_path: Path) -> None:
    one, two, path = new_key(), new_key(), tmp_path / "secret.key"
    assert find_key("", path) is None
    write_key(path, one.text)
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_key("", path) == one
    assert find_key(two.text, path) == two
    assert os.listdir(tmp_path) == ["secret.key"]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("what was there")
    with pytest.raises(Conflict, match="not overwritten"):
        write_key(path, new_key().text)
    assert path.read_text() == "what was there"
    with pytest.raises(Invalid):
        find_key("", path)
    assert os.listdir(tmp_path) == ["secret.key"]


def test_a_place_that_can_t_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match="can't be written"):
        write_key(tmp_path / "nowhere" / "secret.key", new_key().text)
    endless = tmp_path / "endless"
    endless.symlink_to(endless)
    with pytest.raises(Forbidden, match="can't be read"):
        find_key("", endless)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (os.mkdir, "is no regular file"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
        (lambda path: path.write_bytes(b"a" * 5000), "has more than 4096 bytes"),
    ],
)
def test_what_can_be_no_key_file_is_named_and_not_read_on(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "key"
    make(path)
    with pytest.raises(Invalid) as refused:
        find_key("", path)
    assert repr(str(path)) in refused.value.message
    assert told in refused.value.message
