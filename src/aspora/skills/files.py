"""The files of a folder that go into its artifact: what is left out, what is refused, and their bytes."""

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aspora.skills.archive import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_TOTAL_BYTES,
    Archive,
    ArchiveFile,
    collisions,
    path_problem,
    write_archive,
)
from aspora.skills.problems import Report
from aspora.skills.text_files import read_text

IGNORE_FILE = ".aspora-ignore"
ALWAYS_IGNORED = (
    ".git", ".hg", ".svn", ".DS_Store", "Thumbs.db", "desktop.ini", "__pycache__", "*.pyc", "*.pyo", ".pytest_cache",
    ".hypothesis", ".mypy_cache", ".ruff_cache", ".venv", "venv", "node_modules", ".idea", ".vscode", "*.swp", "*~",
    ".env", ".env.*", IGNORE_FILE,
)  # fmt: skip
MAX_FOLDER_DEPTH = 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that goes into the artifact.

    Attributes:
        path: Where it lies in the artifact.
        source: Where it lies on the disk.
        size_bytes: Its size when it was listed.
        executable: Whether its owner may run it.
    """

    path: str
    source: Path
    size_bytes: int
    executable: bool


class Ignore:
    """Patterns of what stays out, in the simple part of gitignore's language.

    A pattern without `/` names files and folders at any depth; one with `/` is a path from the folder's top; one that
    ends with `/` names folders alone. `*` and `?` match within a part of the path.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = [*ALWAYS_IGNORED, *patterns]

    def covers(self, path: str, *, is_folder: bool) -> bool:
        """Whether it stays out."""
        return any(self._matches(pattern, path, is_folder=is_folder) for pattern in self._patterns)

    def _matches(self, pattern: str, path: str, *, is_folder: bool) -> bool:
        if pattern.endswith("/"):
            if not is_folder:
                return False
            pattern = pattern.rstrip("/")
        if "/" not in pattern:
            return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
        parts, wanted = path.split("/"), pattern.strip("/").split("/")
        return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def read_ignore(folder: Path, *, shown: str, report: Report, needed: str = "") -> Ignore:
    """The folder's own patterns and those that always hold; none may leave out the file that is `needed`."""
    path = folder / IGNORE_FILE
    if not os.path.lexists(path):
        return Ignore()
    text = read_text(path, shown=shown, report=report, max_bytes=64 * 1024) or ""
    lines = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if line.startswith("!") or "**" in line:
            report.error(shown, f"{line!r}: '!' and '**' are not understood; name what stays out", line=number)
        elif line and not line.startswith("#") and needed and Ignore([line]).covers(needed, is_folder=False):
            message = f"{line!r} leaves {needed} out, without which there is no skill; name other files alone"
            report.error(shown, message, line=number)
    return Ignore(line for line in lines if line and not line.startswith("#"))


class FileList:
    """Collects the files of one artifact from one or more folders."""

    def __init__(self, report: Report) -> None:
        self.entries: list[FileEntry] = []
        self._report = report
        self._full = False

    def add_folder(self, folder: Path, *, shown: str, prefix: str = "", needed: str = "") -> None:
        """List a folder's files below `prefix`; what can't be packed, or is `needed` and left out, is reported."""
        ignore = read_ignore(folder, shown=os.path.join(shown, IGNORE_FILE), report=self._report, needed=needed)
        self._walk(folder, shown, prefix=prefix, below="", ignore=ignore, depth=0)

    def add_file(self, source: Path, *, shown: str, path: str) -> None:
        """List one file under a path."""
        try:
            info = os.lstat(source)
        except OSError as error:
            self._report.error(shown, f"can't be read: {error.strerror}")
        else:
            self._add(source, info, shown=shown, path=path)

    def check(self, shown: str) -> None:
        """Look at all files together: names that collide, and their size."""
        for one, other in collisions(entry.path for entry in self.entries):
            message = f"{one!r} and {other!r} can't lie beside each other on every system; rename one"
            self._report.error(shown, message)
        total = sum(entry.size_bytes for entry in self.entries)
        if total > MAX_TOTAL_BYTES:
            largest = max(self.entries, key=lambda entry: entry.size_bytes)
            self._report.error(
                shown,
                f"the files have {total} bytes; at most {MAX_TOTAL_BYTES}; the largest is {largest.path!r}; "
                f"name what stays out in {IGNORE_FILE}",
            )

    def _walk(self, folder: Path, shown: str, *, prefix: str, below: str, ignore: Ignore, depth: int) -> None:
        if depth > MAX_FOLDER_DEPTH:
            self._report.error(shown, f"is nested deeper than {MAX_FOLDER_DEPTH} folders; move it up")
            return
        for entry in _sorted_entries(folder, shown, self._report):
            if self._full:
                return
            path = f"{below}{entry.name}"
            entry_shown = os.path.join(shown, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if ignore.covers(path, is_folder=is_folder):
                self._warn_of_secrets(entry.name, entry_shown)
            elif is_folder:
                self._walk(
                    Path(entry.path), entry_shown, prefix=prefix, below=f"{path}/", ignore=ignore, depth=depth + 1
                )
            else:
                self.add_file(Path(entry.path), shown=entry_shown, path=f"{prefix}{path}")

    def _warn_of_secrets(self, name: str, shown: str) -> None:
        if name == ".env" or name.startswith(".env."):
            self._report.warn(shown, "is left out of the artifact; a skill never sees secrets")

    def _add(self, source: Path, info: os.stat_result, *, shown: str, path: str) -> None:
        if stat.S_ISLNK(info.st_mode):
            self._report.error(shown, "is a link; put the file itself there, or name it in .aspora-ignore")
        elif not stat.S_ISREG(info.st_mode):
            self._report.error(shown, "is not a regular file; name it in .aspora-ignore or remove it")
        elif problem := path_problem(path):
            self._report.error(ascii(shown)[1:-1] if not shown.isprintable() else shown, problem)
        elif info.st_size > MAX_FILE_BYTES:
            if not any(problem.file == shown for problem in self._report.errors):  # A text has a lower cap of its own.
                self._report.error(shown, f"has {info.st_size} bytes; at most {MAX_FILE_BYTES} a file")
        elif len(self.entries) >= MAX_FILES:
            self._full = True
            self._report.error(shown, f"more than {MAX_FILES} files; name what stays out in {IGNORE_FILE}")
        else:
            executable = bool(info.st_mode & stat.S_IXUSR)
            self.entries.append(FileEntry(path, source, info.st_size, executable))


def _sorted_entries(folder: Path, shown: str, report: Report) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        report.error(shown, f"can't be read: {error.strerror}")
        return []


def pack(entries: Iterable[FileEntry], *, report: Report) -> Archive | None:
    """Read the files and pack them; None with errors in the report when a file can't be read any more."""
    errors_before = len(report.errors)
    files = list(_read_all(entries, report))
    return write_archive(files) if len(report.errors) == errors_before and files else None


def _read_all(entries: Iterable[FileEntry], report: Report) -> Iterator[ArchiveFile]:
    for entry in entries:
        try:
            fd = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            report.error(str(entry.source), f"can't be read: {error.strerror}")
            continue
        if len(data) != entry.size_bytes:
            report.error(str(entry.source), "changed while it was read; try again")
            continue
        yield ArchiveFile(entry.path, data, entry.executable)


def folder_digest(folder: Path) -> str:
    """The digest of the artifact that `unpack` wrote into a folder; nothing is left out.

    Raises:
        Invalid: It holds what no artifact can hold.
        OSError: It can't be read.
    """
    return write_archive(_exactly(folder, "")).digest


def _exactly(folder: Path, below: str) -> Iterator[ArchiveFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _exactly(Path(entry.path), f"{path}/")
            else:
                fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                with open(fd, "rb") as file:
                    mode = os.fstat(fd).st_mode
                    yield ArchiveFile(path, file.read(MAX_FILE_BYTES + 1), bool(mode & stat.S_IXUSR))
