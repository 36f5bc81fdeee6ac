"""The supervisor of one slot: starts one job at a time, holds it to its limits, and lets nothing of it survive.

It is a child subreaper: whatever a handler forks, however detached, becomes its child at last, so "no child left"
proves "nothing left". It needs no signal handler and no thread: it polls the driver's socket, the job's pidfd and what
the job's process reports of its start. Any process may be stopped at any time, so none is ever waited for in another
way. When the driver's socket closes (the executor was killed) it kills the job, removes the copy and ends.

Source: prctl(2) PR_SET_CHILD_SUBREAPER, pidfd_open(2).
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aspora.sandbox.process import jail, messages, procfs, strays, tree
from aspora.sandbox.process.limits import Caps

START_SECONDS = 5.0
FIRST_CHECK_SECONDS = 0.05
CHECK_EVERY_SECONDS = 0.1
FREEZE_ROUNDS = 20
RECOUNT_EVERY_SECONDS = 10.0
# As an ordinary user the kernel counts all threads of that user, so the cap needs room for what else the user starts.
SPARE_TASKS = 512


@dataclass(slots=True)
class Limited:
    """What the supervisor itself watches once a job has begun; times by the monotonic clock."""

    deadline: float
    next_check: float
    memory_bytes: int
    max_tasks: int
    grace_until: float | None = None

    def next_event(self) -> float:
        """When to look again."""
        return min(self.deadline, self.next_check, self.grace_until or self.deadline)


@dataclass(slots=True)
class Reaped:
    """What ended processes have told: use of all, and how the first one ended."""

    first_status: int = 0
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    stragglers: int = 0


@dataclass(slots=True)
class Process:
    """The job's first process.

    Attributes:
        report: Tells whether its program runs; None once it does.
        start_by: When that must be, by the monotonic clock.
        held: The job that came before that.
        limited: None while it waits for a job.
        reaped: What those of its processes have told that ended before it.
    """

    pid: int
    handle: int
    folder: str
    report: int | None
    start_by: float
    held: messages.Begin | None = None
    limited: Limited | None = None
    reaped: Reaped = field(default_factory=Reaped)

    def next_event(self) -> float | None:
        """When to look again, if nothing happens before."""
        if self.limited is not None:
            return self.limited.next_event()
        return None if self.report is None else self.start_by


class Supervisor:
    """Serves one driver over `control` until that closes.

    Args:
        control: Datagram socket to the driver.
        slot_dir: Folder for this slot's work copies; it exists and is empty or holds a dead supervisor's remains.
        uid: The user that jobs become; None when not root.
    """

    def __init__(self, *, control: socket.socket, slot_dir: Path, uid: int | None) -> None:
        self._control = control
        self._slot_dir = slot_dir
        self._uid = uid
        self._process: Process | None = None
        self._jobs = 0
        self._user_tasks = 0
        self._counted_at = float("-inf")
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Work until the driver is gone; then leave nothing behind."""
        jail.prctl(jail.PR_SET_NAME, strays.SUPERVISOR_NAME.encode())
        jail.prctl(jail.PR_SET_CHILD_SUBREAPER, 1)
        self._sweep()
        self._tell({"event": "ready"})
        while self._step():
            pass
        if self._process is not None:
            self._end("killed")
        tree.remove_tree(str(self._slot_dir))

    def _step(self) -> bool:
        ready = {fd for fd, _ in self._poll.poll(self._patience_ms())}
        if self._process is not None and self._process.report in ready:
            self._see_start(self._process)
        if self._process is not None:
            self._attend(self._process, has_ended=self._process.handle in ready)
        return self._obey() if self._control.fileno() in ready else True

    def _patience_ms(self) -> float | None:
        next_event = None if self._process is None else self._process.next_event()
        return None if next_event is None else max(0.0, next_event - time.monotonic()) * 1000 + 0.5

    def _attend(self, process: Process, *, has_ended: bool) -> None:
        if has_ended:
            self._end("exited")
        elif process.limited is not None:
            self._enforce(process.limited)
        elif process.report is not None and time.monotonic() >= process.start_by:
            self._end("stuck")
        elif process.report is None and process.held is not None:
            order, process.held = process.held, None
            self._begin(order, process)

    def _obey(self) -> bool:
        received = messages.receive(self._control)
        if received is None:
            return False
        order, fds = received
        try:
            match order["op"]:
                case "spawn":
                    self._spawn(cast("messages.Spawn", order), fds)
                case "begin" if self._process is not None and self._process.report is not None:
                    self._process.held = cast("messages.Begin", order)
                case "begin" if self._process is not None:
                    self._begin(cast("messages.Begin", order), self._process)
                case "finish" if self._process is not None and self._process.limited is not None:
                    self._process.limited.grace_until = time.monotonic() + order["grace_seconds"]
                case "kill" if self._process is not None:
                    self._end("killed")
                case _:
                    pass  # about a process that has just ended by itself
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _spawn(self, order: messages.Spawn, fds: list[int]) -> None:
        self._jobs += 1
        folder = self._slot_dir / str(self._jobs)
        work, scratch = folder / "work", folder / "tmp"
        try:
            for path in (folder, work, scratch):
                path.mkdir(mode=0o700)
            if self._uid is not None:
                for path in (folder, work, scratch):
                    os.chown(path, self._uid, self._uid)
                for fd in fds:
                    os.fchown(fd, self._uid, self._uid)
            env = {**order["env"], "HOME": str(work), "TMPDIR": str(scratch)}
            started = jail.start(jail.Program(argv=order["argv"], env=env, cwd=str(work), uid=self._uid), fds)
        except OSError as problem:
            self._fail("spawn", problem, str(folder))
            return
        self._process = Process(
            pid=started.pid,
            handle=os.pidfd_open(started.pid),
            folder=str(folder),
            report=started.report,
            start_by=time.monotonic() + START_SECONDS,
        )
        self._poll.register(self._process.handle, select.POLLIN)
        self._poll.register(started.report, select.POLLIN)

    def _see_start(self, process: Process) -> None:
        try:
            jail.check_started(cast("int", process.report))
        except jail.SpawnRefused as problem:
            self._kill_and_reap()
            self._forget()
            self._fail("spawn", problem, process.folder)
        else:
            self._drop_report(process)

    def _drop_report(self, process: Process) -> None:
        if process.report is not None:
            self._poll.unregister(process.report)
            os.close(process.report)
            process.report = None

    def _begin(self, order: messages.Begin, process: Process) -> None:
        started = time.monotonic()
        try:
            tree.copy_tree(order["artifact_dir"], os.path.join(process.folder, "work"), uid=self._uid)
            caps = Caps(
                cpu_seconds=order["cpu_seconds"],
                memory_bytes=order["memory_bytes"],
                max_file_bytes=order["max_file_bytes"],
                max_tasks=order["max_processes"] + (self._user_tasks + SPARE_TASKS if self._uid is None else 0),
            )
            jail.apply_caps(process.pid, caps, uid=self._uid)
        except ProcessLookupError:
            return  # it has ended while it waited; its handle says so next
        except (OSError, tree.UnfitArtifact) as problem:
            self._kill_and_reap()
            self._forget()
            self._fail("artifact" if isinstance(problem, tree.UnfitArtifact) else "begin", problem, process.folder)
            return
        now = time.monotonic()
        process.limited = Limited(
            deadline=now + order["timeout_seconds"],
            next_check=now + FIRST_CHECK_SECONDS,
            memory_bytes=order["memory_bytes"],
            max_tasks=order["max_processes"],
        )
        self._tell({"event": "begun", "copy_seconds": now - started})

    def _enforce(self, limited: Limited) -> None:
        now = time.monotonic()
        if now >= limited.deadline:
            self._end("timeout")
        elif limited.grace_until is not None and now >= limited.grace_until:
            self._end("killed")
        elif now >= limited.next_check:
            limited.next_check = now + CHECK_EVERY_SECONDS
            self._measure(limited)

    def _measure(self, limited: Limited) -> None:
        self._reap_orphans(cast("Process", self._process))
        pids = procfs.descendants(os.getpid())
        use = procfs.tree_use(pids)
        if use.tasks > limited.max_tasks:
            self._end("processes")
        elif use.rss_bytes > limited.memory_bytes:
            exact_bytes = procfs.proportional_bytes(pids)
            if exact_bytes is None or exact_bytes > limited.memory_bytes:
                self._end("memory")

    def _end(self, cause: str) -> None:
        """Kill what is left of the job, report, clean up."""
        process = cast("Process", self._process)
        reaped = self._kill_and_reap()
        self._forget()
        status = os.waitstatus_to_exitcode(reaped.first_status)
        done: messages.Done = {
            "event": "done",
            "cause": cause,
            "exit_code": status if status >= 0 else None,
            "signal": -status if status < 0 else None,
            "cpu_seconds": reaped.cpu_seconds,
            "max_rss_bytes": reaped.max_rss_bytes,
            "stragglers": reaped.stragglers,
        }
        self._tell(done)
        self._clean(process.folder)

    def _kill_and_reap(self) -> Reaped:
        """Until the kernel says that no child is left. A first process that has already ended costs one look."""
        process = cast("Process", self._process)
        reaped = process.reaped
        pause_seconds = 0.0005
        while self._reap(process.pid, reaped):
            self._kill_everything(process)
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, 0.01)
        return reaped

    def _kill_everything(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # By itself: until it has become the slot's user it isn't among those that go next.
            signal.pidfd_send_signal(process.handle, signal.SIGKILL)
        if self._uid is not None and jail.kill_user(self._uid):
            return
        # Stop first: a stopped process cannot fork, and it still counts against the cap on processes.
        seen: set[int] = set()
        for _ in range(FREEZE_ROUNDS):
            found = set(procfs.descendants(os.getpid()))
            if found <= seen:
                break
            for pid in found - seen:
                _signal(pid, signal.SIGSTOP)
            seen |= found
        for pid in procfs.descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)

    def _reap_orphans(self, process: Process) -> None:
        """Collect what was left to this process and has ended: the job can't, and it counts against the job's cap."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == process.pid:
                return  # its handle tells
            _, _, used = os.wait4(ended.si_pid, 0)
            process.reaped.cpu_seconds += used.ru_utime + used.ru_stime
            process.reaped.max_rss_bytes = max(process.reaped.max_rss_bytes, used.ru_maxrss * 1024)

    def _reap(self, first_pid: int, reaped: Reaped) -> bool:
        """Collect what has ended; whether anything is left."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            reaped.cpu_seconds += used.ru_utime + used.ru_stime
            reaped.max_rss_bytes = max(reaped.max_rss_bytes, used.ru_maxrss * 1024)
            if pid == first_pid:
                reaped.first_status = status
            else:
                reaped.stragglers += 1

    def _forget(self) -> None:
        process = cast("Process", self._process)
        self._drop_report(process)
        self._poll.unregister(process.handle)
        os.close(process.handle)
        self._process = None

    def _fail(self, stage: str, problem: Exception, folder: str) -> None:
        self._tell({"event": "failed", "stage": stage, "message": str(problem)[:4000]})
        self._clean(folder)

    def _clean(self, folder: str) -> None:
        """Remove the copy. When that fails this supervisor ends, and the driver starts another that sweeps."""
        tree.remove_tree(folder)
        self._count_user_tasks()
        self._tell({"event": "ready"})

    def _sweep(self) -> None:
        if self._uid is None:
            strays.end_those_without_supervisor()
        elif not jail.kill_user(self._uid):
            strays.end_those_of(self._uid)
        for left in sorted(self._slot_dir.iterdir()):
            strays.end_those_in(left)
            tree.remove_tree(str(left))
        self._count_user_tasks()

    def _count_user_tasks(self) -> None:
        if self._uid is None and time.monotonic() - self._counted_at > RECOUNT_EVERY_SECONDS:
            self._user_tasks = procfs.count_user_tasks(os.getuid())
            self._counted_at = time.monotonic()

    def _tell(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the driver is gone; the next receive says so
            messages.send(self._control, message)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def main() -> None:
    """Entry of the process: `<control fd> <slot folder> <uid or ->`."""
    control_fd, slot_dir, uid = sys.argv[1:4]
    # Ctrl-C and a service manager signal the whole group; this process ends by the driver's end and no sooner.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    control = socket.socket(fileno=int(control_fd))
    try:
        Supervisor(control=control, slot_dir=Path(slot_dir), uid=None if uid == "-" else int(uid)).serve()
    except Exception as problem:
        with contextlib.suppress(OSError):
            messages.send(control, {"event": "broken", "message": f"{type(problem).__name__}: {problem}"[:4000]})
        raise
