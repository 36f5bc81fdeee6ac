"""Starting, stopping, dying: whatever ends Aspora leaves nothing running, and the next start takes up where it was."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from tests.e2e.server import REPO, Aspora, prepared

FAULTS = os.environ.get("ASPORA_TEST_FAULTS") == "full"
POLL_SECONDS = 0.05


@pytest.fixture
def aspora() -> Generator[Aspora]:
    with prepared() as made:
        yield made


def wait_until(true: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(POLL_SECONDS)


def processes_using(folder: Path) -> list[str]:
    """Command lines of processes that belong to a data directory, by argument, working folder or environment."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(folder).encode() in text and state != "Z":
            found.append(text.partition(b"\0\0")[0].decode(errors="replace").replace("\0", " "))
    return found


def children_of(pid: int) -> dict[str, int]:
    """The role of each child of a supervisor → its process id."""
    roles: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == pid:
                roles["postgres" if "postgres" in words[0] else words[3] if len(words) > 3 else words[0]] = int(
                    entry.name
                )
    return roles


def endpoint_pid(aspora: Aspora) -> int:
    return int(json.loads((aspora.data_dir / "endpoint.json").read_text())["pid"])


def test_up_status_down_and_nothing_is_left(aspora: Aspora) -> None:
    assert aspora.run("status").code == 3
    assert "is ready at" in aspora.ok("up", "--detach")
    assert "already runs" in aspora.ok("up", "--detach")
    assert "Nodes:" in aspora.ok("status")
    assert json.loads(aspora.ok("status", "-o", "json"))["running"] is True
    assert (aspora.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600
    assert "has stopped" in aspora.ok("down")
    assert "no Aspora runs" in aspora.ok("down")
    wait_until(lambda: not processes_using(aspora.data_dir))
    assert "would remove" in aspora.ok("uninstall")


def test_kill_9_of_the_supervisor_ends_everything_and_the_next_start_recovers(aspora: Aspora) -> None:
    aspora.ok("up", "--detach")
    status, _ = aspora.http("POST", "/api/v1/domains", {"kind": "Domain", "metadata": {"name": "kept"}, "spec": {}})
    assert status == 201
    os.kill(endpoint_pid(aspora), signal.SIGKILL)
    wait_until(lambda: not processes_using(aspora.data_dir))
    stale = (aspora.data_dir / "endpoint.json").read_text()
    status_now = aspora.run("status")
    assert status_now.code == 3
    assert "no Aspora is running" in status_now.err
    aspora.ok("up", "--detach")
    assert (aspora.data_dir / "endpoint.json").read_text() != stale
    assert "kept" in aspora.ok("get", "domains")


@pytest.mark.parametrize("role", ["gateway", "executor", "postgres"])
def test_kill_9_of_any_process_heals(aspora: Aspora, role: str) -> None:
    aspora.ok("up", "--detach")
    before = children_of(endpoint_pid(aspora))
    os.kill(before[role], signal.SIGKILL)
    wait_until(lambda: children_of(endpoint_pid(aspora)).get(role, before[role]) != before[role])
    wait_until(lambda: aspora.run("get", "domains").code == 0)
    aspora.ok("create", "skill", "default/healed", "--lang", "python", "--path", str(aspora.data_dir.parent / "skills"))
    aspora.ok("apply", "-f", str(aspora.data_dir.parent / "skills"))
    aspora.ok("run", "default/healed", "hello")


def test_a_taken_port_is_told_at_once(aspora: Aspora) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Aspora(aspora.data_dir, {**aspora.environ, "ASPORA_PORT": str(other.getsockname()[1])})
        done = taken.run("up")
    assert done.code != 0
    assert "is taken by another program" in done.err
    assert "ASPORA_PORT" in done.err


def test_a_data_directory_in_use_is_refused(aspora: Aspora) -> None:
    aspora.ok("up", "--detach")
    done = aspora.run("up")
    assert done.code != 0
    assert "in use" in done.err


def test_plain_http_beyond_loopback_is_refused(aspora: Aspora) -> None:
    done = Aspora(aspora.data_dir, {**aspora.environ, "ASPORA_HOST": "0.0.0.0"}).run("up")
    assert done.code != 0
    assert "ASPORA_ALLOW_PLAINTEXT" in done.err


@pytest.mark.parametrize(
    ("name", "value"), [("ASPORA_SECRET_KEY_FILE", "/dev/zero"), ("ASPORA_SANDBOX_DRIVER", "docker")]
)
def test_a_setting_that_can_not_be_used_is_told_before_anything_starts(aspora: Aspora, name: str, value: str) -> None:
    for words in (["up"], ["up", "--detach"]):
        done = Aspora(aspora.data_dir, {**aspora.environ, name: value}).run(*words)
        assert done.code == 2
        assert done.err.startswith(f"Error: {name}")
        assert done.err.count("\n") == 1
        assert value in done.err


def test_a_data_directory_that_is_a_file(aspora: Aspora) -> None:
    aspora.data_dir.parent.joinpath("file").write_text("")
    done = aspora.run("up", "--data-dir", str(aspora.data_dir.parent / "file"))
    assert done.code != 0
    assert "file" in done.err
    assert "Traceback" not in done.err


def test_a_data_directory_that_others_may_write_is_told_of(aspora: Aspora) -> None:
    aspora.data_dir.mkdir(exist_ok=True)
    aspora.data_dir.chmod(0o731)
    assert "chmod go-w" in aspora.run("doctor").out
    assert "chmod go-w" in aspora.run("up", "--detach").err
    aspora.ok("down")
    assert aspora.data_dir.stat().st_mode & 0o777 == 0o731


def test_the_demo_makes_the_data_directory_as_closed_as_any_other_command(aspora: Aspora) -> None:
    place = aspora.data_dir / "new"
    process = subprocess.Popen(
        [sys.executable, "-m", "aspora", "demo", "--data-dir", str(place)],
        env=dict(aspora.environ),
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until((place / "demo" / "aspora.lock").exists)
        assert place.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


@pytest.mark.parametrize("after_seconds", [0.3, 1.8, 4.0] + ([0.1 * n for n in range(80)] if FAULTS else []))
def test_ctrl_c_at_any_point_of_the_demo_leaves_nothing_running(aspora: Aspora, after_seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "aspora", "demo"],
        env=dict(aspora.environ),
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        process.wait(timeout=after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    # Before Python runs anything of ours, the signal ends it without a word. CPython also ends by the signal when that
    # came inside an `exec`, such as a dataclass's in an import, though we have handled it.
    assert process.returncode in (0, 130) or (process.returncode, output.strip()) == (-signal.SIGINT, ""), output
    assert "Traceback" not in output
    wait_until(lambda: not processes_using(aspora.data_dir))
