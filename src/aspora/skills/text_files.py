"""Reading text files of strangers: bounded, UTF-8, never through a link."""

import os
import stat
from pathlib import Path

from aspora.skills.problems import Report

MAX_TEXT_BYTES = 1024 * 1024
BOM = "\ufeff"


def read_text(path: Path, *, shown: str, report: Report, max_bytes: int = MAX_TEXT_BYTES) -> str | None:
    """The file's text, or None with an error in the report. A byte order mark stays in the text.

    At most `max_bytes` + 1 bytes are read, whatever the file's size.
    """
    raw = read_raw(path, shown=shown, report=report, max_bytes=max_bytes)
    return decode_text(raw, shown=shown, report=report) if raw is not None else None


def read_raw(path: Path, *, shown: str, report: Report, max_bytes: int = MAX_TEXT_BYTES) -> bytes | None:
    """The file's bytes, or None with an error in the report."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        report.error(shown, "is a link; put the file itself there" if os.path.islink(path) else _reason(error))
        return None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        report.error(shown, f"is {found}, where a text file belongs; rename or remove it")
        return None
    with open(fd, "rb") as file:
        raw = file.read(max_bytes + 1)
        size_bytes = os.fstat(fd).st_size
    if len(raw) > max_bytes:
        report.error(shown, f"has {size_bytes} bytes; at most {max_bytes}; move long texts to references/")
        return None
    return raw


def decode_text(raw: bytes, *, shown: str, report: Report) -> str | None:
    """UTF-8 as text without NUL, or None with an error that names the byte."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.error(
            shown,
            f"is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start}; save the file as UTF-8",
            line=line,
        )
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        report.error(shown, f"holds a NUL character at offset {raw.index(0)}; is it a text file?", line=line)
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _reason(error: OSError) -> str:
    return f"can't be read: {error.strerror}"
