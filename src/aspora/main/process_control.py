"""What a process asks of the Linux kernel about itself; elsewhere these calls do nothing."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)


def end_with_parent() -> None:
    """Get SIGTERM when the parent dies; the end of standard input tells the same where that fails."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def keep_memory_private() -> None:
    """Let no process of the same user read this one's memory and environment: handlers may run as that user."""
    _prctl(_PR_SET_DUMPABLE, 0)
