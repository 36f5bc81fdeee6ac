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


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"]])
def test_a_taken_port_is_told_at_once_and_leaves_nothing(aspora: Aspora, words: list[str]) -> None:
    place = aspora.data_dir / "given"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Aspora(aspora.data_dir, {**aspora.environ, "ASPORA_PORT": str(other.getsockname()[1])})
        done = taken.run(*words, "--data-dir", str(place))
    assert done.code == 4
    assert "is taken by another program" in done.err
    assert "ASPORA_PORT" in done.err
    assert done.err.endswith(f"aspora status --data-dir {place}\n")
    assert not aspora.data_dir.exists()


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"]])
@pytest.mark.parametrize(
    ("name", "value", "code", "told"),
    [
        (
            "ASPORA_DATABASE_URL",
            "postgresql://u:hunter2@127.0.0.1:1/x",
            3,
            "the database '127.0.0.1:1/x as u' can't be",
        ),
        ("ASPORA_DATABASE_URL", "hunter2", 4, "ASPORA_DATABASE_URL can't be read; write postgresql://"),
        ("ASPORA_ARTIFACTS_URL", "nope://u:hunter2@b/x", 4, "no artifact store at 'nope://b' (ASPORA_ARTIFACTS_URL)"),
        ("ASPORA_ARTIFACTS_URL", "/proc/nope", 3, "artifact folder '/proc/nope' can't be made"),
    ],
)
def test_a_place_that_can_not_be_used_is_told_at_once_without_its_password(
    aspora: Aspora, words: list[str], name: str, value: str, code: int, told: str
) -> None:
    done = Aspora(aspora.data_dir, {**aspora.environ, name: value}).run(*words)
    assert done.code == code
    assert done.err.startswith(f"Error: {told}")
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err
    assert not aspora.data_dir.exists()


def test_a_database_that_refuses_the_name_is_told(aspora: Aspora) -> None:
    aspora.ok("up", "--detach")
    socket_folder = next(f.parent for f in aspora.data_dir.rglob(".s.PGSQL.*") if f.is_socket())
    url = f"postgresql:///none?host={socket_folder}&user=nobody_here"
    other = Aspora(aspora.data_dir.parent / "other", {**aspora.environ, "ASPORA_DATABASE_URL": url})
    done = other.run("up", "--data-dir", str(other.data_dir))
    assert done.code == 3
    assert "/none as nobody_here' can't be reached: " in done.err
    assert "Traceback" not in done.err


def test_the_doctor_makes_no_data_directory(aspora: Aspora) -> None:
    out = aspora.ok("doctor")
    assert f"Data directory: {aspora.data_dir}, " in out
    assert "the first start makes it" in out
    assert not aspora.data_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_data_directory_is_told_with_its_owner(aspora: Aspora) -> None:
    aspora.ok("up", "--detach")
    aspora.data_dir.chmod(0o700)
    os.chown(aspora.data_dir, 65534, -1)
    poor = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-kill", "--inh-caps", "-all"]
    try:
        for words, code in ((["down"], 4), (["uninstall"], 4), (["doctor"], 1), (["up", "--detach"], 4)):
            done = subprocess.run(
                [*poor, sys.executable, "-m", "aspora", *words],
                env={**aspora.environ, "TMPDIR": str(aspora.data_dir.parent)},
                cwd=REPO,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == code, (words, done.stderr)
            assert "Traceback" not in done.stderr
            assert "'nobody'" in done.stderr + done.stdout, (words, done.stderr)
    finally:
        os.chown(aspora.data_dir, 0, -1)


def test_files_named_from_here_are_found_by_a_server_in_the_background(aspora: Aspora, tmp_path: Path) -> None:
    (tmp_path / "own.key").write_text("07" * 32 + "\n")
    (tmp_path / "own.key").chmod(0o600)
    relative = {"ASPORA_SECRET_KEY_FILE": "own.key", "ASPORA_ARTIFACTS_URL": "own-artifacts"}
    assert (
        "is ready at" in Aspora(aspora.data_dir, {**aspora.environ, **relative}).run("up", "--detach", cwd=tmp_path).out
    )
    assert (tmp_path / "own-artifacts").is_dir()
    assert "made the secret key" not in (aspora.data_dir / "aspora.log").read_text()


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
