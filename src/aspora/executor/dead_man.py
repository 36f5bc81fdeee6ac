"""A dead man's switch: the kernel kills this process unless somebody moves the hour of death on in time.

A blocked event loop, a thread that keeps the interpreter to itself, a process that was stopped (SIGSTOP, a frozen
cgroup): none of them can look at a clock, and all of them may hold work that others are about to take. A POSIX timer
that sends SIGKILL needs nobody here to run. It counts the time of a suspended machine too, and no change of the wall
clock moves it.

Source: timer_create(2), signal(7): SIGKILL ends stopped processes too.
"""

import ctypes
import signal
import sys
from typing import Final, Protocol

from aspora.telemetry.logs import get_logger

_CLOCK_BOOTTIME: Final = 7
_SIGEV_SIGNAL: Final = 0
_NANOSECONDS: Final = 1_000_000_000
_MIN_SECONDS: Final = 0.001
_log = get_logger(__name__)


class DeadMan(Protocol):
    """Ends the process, unless told otherwise in time."""

    def arm(self, seconds: float) -> None:
        """Die in so many seconds from now, whatever was set before; zero or less: at once."""
        ...

    def disarm(self) -> None:
        """Don't die."""
        ...


class NoDeadMan:
    """Never ends anything: for machines without such timers, and for tests of what then still holds."""

    def arm(self, seconds: float) -> None:
        """Nothing."""

    def disarm(self) -> None:
        """Nothing."""


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class _SignalEvent(ctypes.Structure):
    """`struct sigevent`, which is 64 bytes on Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class KernelTimer:
    """The switch on Linux. One timer a process; a child made by fork has none.

    Raises:
        OSError: The kernel gives no such timer.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "timer_create"):  # before glibc 2.34
            self._libc = ctypes.CDLL("librt.so.1", use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SignalEvent(signal=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        self._check(self._libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))

    def arm(self, seconds: float) -> None:
        """Die in so many seconds from now."""
        self._set(max(seconds, _MIN_SECONDS))

    def disarm(self) -> None:
        """Don't die."""
        self._set(0.0)

    def _set(self, seconds: float) -> None:
        whole, fraction = divmod(round(seconds * _NANOSECONDS), _NANOSECONDS)
        spec = _TimerSpec(value=_TimeSpec(whole, fraction))
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    @staticmethod
    def _check(answer: int) -> None:
        if answer != 0:
            number = ctypes.get_errno()
            raise OSError(number, "the kernel's timer could not be used")


def dead_man() -> DeadMan:
    """The switch of this process; without kernel support one that never acts, which the log says."""
    if sys.platform == "linux":
        try:
            return KernelTimer()
        except (OSError, AttributeError) as error:
            _log.warning("no timer of the kernel guards the node's lease", cause=str(error))
    else:
        _log.warning("no timer of the kernel guards the node's lease", cause=f"not on {sys.platform}")
    return NoDeadMan()
