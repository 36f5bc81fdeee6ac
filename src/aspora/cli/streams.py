"""The process's three streams, also when whoever started it has closed one, and bounded reading of files and stdin."""

import io
import os
import stat
import sys
from typing import BinaryIO

STDIN = "-"


def open_closed_streams() -> None:
    """Put the null device in the place of each stream that is closed, so that no file we open takes its number.

    Closed output is thrown away. A closed standard input stays None: whoever reads it is told. What a stream's encoding
    does not have is written as `\\u…`, so that no text of a skill can end a command in the middle.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Takes the lowest free number: this one.
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w", encoding="utf-8", closefd=False))
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def throw_output_away() -> None:
    """Send what is left for standard output to the null device, so that the interpreter's end does not fail on it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def read_bytes(name: str, *, max_bytes: int, what: str) -> bytes:
    """A regular file's content or, for `-`, all of standard input.

    Args:
        max_bytes: Never more than one byte over this is read.
        what: What is read, for messages.

    Raises:
        ValueError: There is none, it is no regular file, or it is larger.
    """
    if name != STDIN:
        with open_regular(name, what=what) as file:
            return _bounded(file, max_bytes, what=f"{what} {name!r}")
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - it is when descriptor 0 was closed
        raise ValueError(f"{what} should come from standard input, which is closed; pipe it in, or leave '-' out")
    return _bounded(sys.stdin.buffer, max_bytes, what=f"{what} from standard input")


def open_regular(name: str, *, what: str) -> BinaryIO:
    """Open a regular file without ever waiting for one that is none.

    Raises:
        ValueError: It is a folder, a pipe or a device.
        OSError: It can't be opened.
    """
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return open(fd, "rb")
    os.close(fd)
    raise ValueError(f"{what} {name!r} is {kind_of(mode)}; name a regular file, or - for standard input")


def kind_of(mode: int) -> str:
    """What lies there, for people: `a folder`, `a pipe` …"""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((text for test, text in kinds if test(mode)), "a regular file" if stat.S_ISREG(mode) else "a device")


def _bounded(file: BinaryIO, max_bytes: int, *, what: str) -> bytes:
    raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise ValueError(f"{what} has more than {max_bytes} bytes, the most it may have; send less at once")
    return raw
