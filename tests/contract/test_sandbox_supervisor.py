"""The supervisor alone, spoken to over its socket: whatever is stopped, it goes on."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aspora.sandbox.process import jail, messages, procfs, strays

# A user for each test process: a supervisor kills all of its user's processes.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
UID = 60700 + WORKER % 90 if os.geteuid() == 0 else None
STOP_BEFORE_THE_PROGRAM = """
become = jail._become
def stop_first(*given):
    os.kill(os.getpid(), signal.SIGSTOP)
    become(*given)
jail._become = stop_first
"""
BEGIN: Mapping[str, Any] = {
    "op": "begin",
    "timeout_seconds": 20.0,
    "cpu_seconds": 5,
    "memory_bytes": 1 << 30,
    "max_processes": 16,
    "max_file_bytes": 1 << 20,
}
SERVE = """
import os, signal, socket, sys
from pathlib import Path
from aspora.sandbox.process import jail, supervisor
control, slot_dir, uid = sys.argv[1:4]
{changes}
control = socket.socket(fileno=int(control))
supervisor.Supervisor(control=control, slot_dir=Path(slot_dir), uid=int(uid) if uid != "-" else None).serve()
"""


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervisor and the socket to it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    folder: Path

    def tell(self, op: str, **facts: Any) -> None:
        messages.send(self.control, {"op": op, **facts})

    def spawn(self, *argv: str) -> None:
        with open(os.devnull, "r+b") as nothing:
            order = {"op": "spawn", "argv": argv, "env": {}}
            messages.send(self.control, order, [nothing.fileno()] * 3)

    def begin(self) -> None:
        self.tell(**{**BEGIN, "artifact_dir": str(self.folder / "artifact")})

    def hear(self) -> dict[str, Any]:
        return messages.decode(self.control.recv(messages.MAX_MESSAGE_BYTES))

    def child(self) -> int:
        """The job's first process, once it has stopped."""
        until(lambda: any(procfs.stand(pid).is_stopped for pid in procfs.descendants(self.process.pid)))
        (child,) = procfs.descendants(self.process.pid)
        return child


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder that other users may pass through, with an empty slot and artifact."""
    made = Path(tempfile.mkdtemp(prefix="aspora-sandbox-"))
    made.chmod(0o711)
    (made / "artifact").mkdir()
    (made / "slot").mkdir(mode=0o711)
    yield made
    shutil.rmtree(made)


@contextmanager
def supervised(folder: Path, changes: str = "", *, uid: int | None = UID) -> Generator[Supervised]:
    """A supervisor whose code was changed so, ready; the test's end is its end."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = SERVE.format(changes=changes)
    arguments = [str(theirs.fileno()), str(folder / "slot"), "-" if uid is None else str(uid)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], pass_fds=[theirs.fileno()])
    theirs.close()
    control.settimeout(20)
    subject = Supervised(process, control, folder)
    try:
        assert subject.hear()["event"] == "ready"
        yield subject
        control.close()
        assert process.wait(20) == 0
    finally:
        control.close()
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_an_order_is_taken_while_the_process_is_stopped_before_its_program(folder: Path) -> None:
    with supervised(folder, STOP_BEFORE_THE_PROGRAM) as subject:
        subject.spawn("/bin/sleep", "20")
        assert subject.child()
        subject.tell("kill")
        done = subject.hear()
        assert (done["event"], done["cause"], done["signal"]) == ("done", "killed", signal.SIGKILL)
        assert subject.hear()["event"] == "ready"


def test_what_has_ended_and_nobody_else_can_collect_does_not_count_against_the_cap(folder: Path) -> None:
    leave_forty = "for i in $(seq 40); do (/bin/true &); /bin/sleep 0.05; done; exec /bin/sleep 20"
    (folder / "artifact" / "go").write_text("")
    with supervised(folder) as subject:
        subject.spawn("/bin/sh", "-c", f"until [ -e ../work/go ]; do :; done; cd /; {leave_forty}")
        subject.begin()
        assert subject.hear()["event"] == "begun"
        until(lambda: commands_below(subject.process.pid) == ["/bin/sleep 20"])
        subject.tell("kill")
        assert subject.hear()["cause"] == "killed"
        assert subject.hear()["event"] == "ready"


def commands_below(pid: int) -> list[str]:
    """Command lines; "" for what has ended."""
    found: list[str] = []
    for child in procfs.descendants(pid):
        try:
            found.append(Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ").strip())
        except OSError:
            continue
    return found


def test_a_process_that_does_not_reach_its_program_is_ended(folder: Path) -> None:
    with supervised(folder, STOP_BEFORE_THE_PROGRAM + "supervisor.START_SECONDS = 0.2") as subject:
        subject.spawn("/bin/sleep", "20")
        subject.begin()
        done = subject.hear()
        assert (done["event"], done["cause"]) == ("done", "stuck")
        assert subject.hear()["event"] == "ready"


def test_a_job_begins_once_its_program_runs(folder: Path) -> None:
    with supervised(folder, STOP_BEFORE_THE_PROGRAM) as subject:
        subject.spawn("/bin/sleep", "20")
        child = subject.child()
        subject.begin()
        os.kill(child, signal.SIGCONT)
        assert subject.hear()["event"] == "begun"
        assert procfs.stand(child).name == "sleep"
        os.kill(child, signal.SIGSTOP)
        subject.tell("kill")
        assert subject.hear()["cause"] == "killed"
        assert subject.hear()["event"] == "ready"


def test_nothing_stopped_outlives_the_supervisor(folder: Path) -> None:
    with supervised(folder, STOP_BEFORE_THE_PROGRAM) as subject:
        subject.spawn("/bin/sleep", "20")
        child = subject.child()
    assert child not in procfs.all_pids()
    assert not (folder / "slot").exists()


def test_a_program_that_is_not_there_is_named(folder: Path) -> None:
    with supervised(folder) as subject:
        subject.spawn("/no/such/program")
        failed = subject.hear()
        assert (failed["event"], failed["stage"]) == ("failed", "spawn")
        assert "/no/such/program" in failed["message"]
        assert subject.hear()["event"] == "ready"


@pytest.mark.skipif(UID is None, reason="only root acts as another user")
def test_a_job_that_stops_who_is_to_kill_it_is_killed_by_root(folder: Path) -> None:
    with supervised(folder, "jail.kill_user = lambda uid: False") as subject:
        subject.spawn("/bin/sh", "-c", "setsid /bin/sleep 20 & /bin/sleep 20 & wait")
        until(lambda: len(procfs.descendants(subject.process.pid)) == 3)
        found = procfs.descendants(subject.process.pid)
        subject.tell("kill")
        done = subject.hear()
        assert (done["cause"], done["stragglers"]) == ("killed", 2)
        assert not set(found) & set(procfs.all_pids())
        assert subject.hear()["event"] == "ready"


@pytest.mark.skipif(UID is None, reason="only root acts as another user")
@pytest.mark.parametrize("changes", ["", "jail.kill_user = lambda uid: False"])
def test_what_a_dead_supervisor_left_is_ended_first(folder: Path, changes: str) -> None:
    left = subprocess.Popen(["sleep", "20"], user=UID, group=UID, extra_groups=[], cwd="/", env={})
    left.send_signal(signal.SIGSTOP)
    with supervised(folder, changes):
        assert left.wait(5) == -signal.SIGKILL


def stop_oneself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.skipif(UID is None, reason="only root acts as another user")
def test_acting_as_another_user_never_waits_for_a_stopped_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert UID is not None
    assert jail.kill_user(UID)
    monkeypatch.setattr(jail, "HELPER_SECONDS", 0.1)
    monkeypatch.setattr(jail, "_kill_all_of_me", stop_oneself)
    assert not jail.kill_user(UID)
    assert procfs.pids_of_user(UID) == []


AS_SUPERVISOR = """
import subprocess, sys
from aspora.sandbox.process import jail, strays
jail.prctl(jail.PR_SET_NAME, strays.SUPERVISOR_NAME.encode())
child = subprocess.Popen(["sleep", "20"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


def brand(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_MSGQUEUE, (0, strays.BRAND_BYTES))


def test_only_branded_processes_without_a_supervisor_are_ended() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", AS_SUPERVISOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    held = int(supervisor.stdout.readline())
    parent = subprocess.Popen(["sh", "-c", "sleep 20; true"])
    until(lambda: len(procfs.descendants(parent.pid)) == 1)
    (child,) = procfs.descendants(parent.pid)
    plain = subprocess.Popen(["sleep", "20"])
    try:
        for pid in (held, child, parent.pid):
            brand(pid)
        os.kill(parent.pid, signal.SIGSTOP)
        strays.end_those_without_supervisor()
        assert parent.wait(5) == -signal.SIGKILL
        until(lambda: child not in procfs.all_pids() or procfs.stand(child).has_ended)
        assert plain.poll() is None
        assert procfs.stand(held).name == "sleep"
    finally:
        plain.kill()
        plain.wait()
        supervisor.communicate()
