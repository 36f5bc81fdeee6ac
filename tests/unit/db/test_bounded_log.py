"""The server's log never grows past its bound and never gets in anybody's way."""

import stat
from pathlib import Path

from aspora.db.server_process import BoundedLog


def test_a_full_log_moves_aside_and_two_files_stay_within_the_bound(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "server.log", max_bytes=100)
    for number in range(50):
        log.write(f"line {number:04d}\n".encode())
    log.close()
    kept = (tmp_path / "server.log.1").read_text() + (tmp_path / "server.log").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.log", "server.log.1"]
    assert len(kept) <= 200
    assert kept.endswith("line 0049\n")
    assert stat.S_IMODE((tmp_path / "server.log").stat().st_mode) == 0o600


def test_a_later_start_appends(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = BoundedLog(tmp_path / "server.log", max_bytes=100)
        log.write(text)
        log.close()
    assert (tmp_path / "server.log").read_bytes() == b"one\ntwo\n"


def test_a_log_that_can_not_be_written_is_dropped(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "missing" / "server.log")
    log.write(b"lost\n")
    log.close()
