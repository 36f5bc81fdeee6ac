"""Fork a process that can do little: own session, no descriptors but three, no privileges, limits, another user.

What happens between fork and exec is here, in order. The supervisor is single-threaded, so the child may run Python.

Source: credentials(7), prctl(2), getrlimit(2).
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from aspora.sandbox.process.limits import Caps
from aspora.sandbox.process.strays import BRAND_BYTES

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

MAX_OPEN_FILES = 1024
OOM_SCORE_ADJUSTMENT = 500
MIN_SANDBOX_UID = 1000
HELPER_SECONDS = 1.0

_libc = ctypes.CDLL(None, use_errno=True)


class SpawnRefused(Exception):
    """The child could not be set up or its program not started; the message names the step."""


class HelperStuck(Exception):
    """What was to act as another user neither ended nor can be ended."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: argv, its whole environment, its folder, and the user it becomes (None: the caller's)."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class Starting:
    """A forked child on its way to its program.

    Attributes:
        pid: The child.
        report: A pipe, readable once it is settled whether the program runs; the caller's to close. Between fork and
            exec the child can be stopped like any process, so whoever has more to do polls this before reading it.
    """

    pid: int
    report: int


def prctl(option: int, value: int | bytes) -> None:
    """Call prctl(2) with one argument.

    Raises:
        OSError: The kernel refused.
    """
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    if _libc.prctl(option, argument, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def start(program: Program, fds: Sequence[int]) -> Starting:
    """Fork a child that confines itself and becomes the program; waits for nothing.

    Args:
        program: What to run.
        fds: Its stdin, stdout and stderr.

    Raises:
        OSError: No process to be had.
    """
    report, child_report = os.pipe()
    supervisor = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            _become(program, fds, child_report, supervisor)
    except BaseException:
        os.close(report)
        raise
    finally:
        os.close(child_report)
    return Starting(pid=pid, report=report)


def check_started(report: int) -> None:
    """Read what a child reported of its start; blocks until it has.

    Raises:
        SpawnRefused: A step failed; the child ends by itself.
    """
    if problem := os.read(report, 4096):
        raise SpawnRefused(problem.decode(errors="replace"))


def apply_caps(pid: int, caps: Caps, *, uid: int | None) -> None:
    """Put a running process, and all it will start, under limits.

    Root without CAP_SYS_RESOURCE, as in most containers, may not do that to another user's process: then the process
    does it to itself, before it loads anything of the job's (`rlimits` of the request).

    Raises:
        ProcessLookupError: It has ended.
        OSError: The kernel refused.
    """
    try:
        for name, (soft, hard) in caps.rlimits().items():
            _cap(pid, getattr(resource, name), soft, hard)
    except PermissionError:
        if uid is None:
            raise


def kill_user(uid: int) -> bool:
    """Kill every process of a user in one call, faster than it can fork. Only for a user that is a sandbox's own.

    Returns:
        False when the one that was to do it was stopped or killed by them first.
    """
    return _as_user(uid, _kill_all_of_me) == 0


def _kill_all_of_me() -> None:
    # Any other user's kill(-1) would reach other people's processes: look once more who this is.
    real, effective, saved = os.getresuid()
    if real == effective == saved >= MIN_SANDBOX_UID:
        os.kill(-1, signal.SIGKILL)


def _as_user(uid: int, action: Callable[[], None]) -> int:
    """Run `action` in a forked child that has become `uid`; returns 0 when it did all of it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if uid >= MIN_SANDBOX_UID:
                _drop_to(uid)
                action()
                code = 0
        finally:
            os._exit(code)
    return _status_of_helper(pid)


def _status_of_helper(pid: int) -> int:
    """How it ended. Once it is that user's, others of the user may stop it: it is never waited for without end."""
    handle = os.pidfd_open(pid)
    try:
        ending = select.poll()
        ending.register(handle, select.POLLIN)
        if not ending.poll(HELPER_SECONDS * 1000):
            with contextlib.suppress(PermissionError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not ending.poll(HELPER_SECONDS * 1000):
                raise HelperStuck(f"process {pid} neither ends nor can be ended")
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(program: Program, fds: Sequence[int], report: int, supervisor: int) -> NoReturn:
    step = "take its descriptors"
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # first of all: stopped here, it would otherwise outlive the supervisor
        _take_descriptors(fds, report)
        report = 3
        step = "set up"
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        step = "limit"
        _cap(0, resource.RLIMIT_CORE, 0)
        _cap(0, resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
        _cap(0, resource.RLIMIT_MSGQUEUE, BRAND_BYTES)
        _adjust_oom_score()
        step = "enter the work copy"
        os.chdir(program.cwd)
        os.umask(0o077)
        step = f"become user {program.uid}"
        if program.uid is not None:
            _drop_to(program.uid)
        step = "give up privileges"
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # once more: the change of user has cleared it
        if os.getppid() != supervisor:
            os._exit(1)
        step = f"start {program.argv[0]!r}"
        os.execve(program.argv[0], list(program.argv), dict(program.env))
    except BaseException as problem:  # noqa: BLE001 - a forked child must never return into the supervisor's code
        os.write(report, f"could not {step}: {problem}".encode()[:4000])
    finally:
        os._exit(127)


def _adjust_oom_score() -> None:
    # Not `open`: for text it would import a codec in every child, which takes longer than all the rest of the setup.
    score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(score, str(OOM_SCORE_ADJUSTMENT).encode())
    os.close(score)


def _take_descriptors(fds: Sequence[int], report: int) -> None:
    """Make `fds` 0, 1 and 2, the report pipe 3 (closed by exec), and close all others."""
    # Above the targets first, so that none is overwritten before it is used.
    parked = [_park(fd) for fd in (*fds, report)]
    for target, fd in enumerate(parked):
        os.dup2(fd, target, inheritable=target < 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))


def _park(fd: int) -> int:
    copies: list[int] = []
    while (copy := os.dup(fd)) < 10:
        copies.append(copy)
    for low in copies:
        os.close(low)
    return copy


def _drop_to(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _cap(pid: int, kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above what is already allowed."""
    _, allowed = resource.prlimit(pid, kind)
    ceiling = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        ceiling = min(ceiling, allowed)
    resource.prlimit(pid, kind, (min(soft, ceiling), ceiling))
