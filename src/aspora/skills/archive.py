"""The artifact: a tar in one canonical form: the same files always give the same bytes, and nothing else passes.

Regular files only, sorted by path, POSIX ustar headers with owner 0, time 0 and mode 0644 or 0755, two empty blocks at
the end. A reader makes each header anew and compares: an archive that `write_archive` could not have made is refused.
So links, devices, duplicates, extended headers, hidden data and paths that leave the folder never come to be handled.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aspora.meta.errors import Invalid, TooLarge

MAX_FILES = 2_000
MAX_FILE_BYTES = 20 * 2**20
MAX_TOTAL_BYTES = 50 * 2**20
MAX_PATH_BYTES = 240
MAX_PART_BYTES = 100
_BLOCK = 512
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file of an artifact.

    Attributes:
        path: Relative, with `/`.
        data: Its bytes.
        executable: Whether its owner may run it.
    """

    path: str
    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """A packed folder.

    Attributes:
        data: The tar.
        digest: `sha256:` and 64 hex digits, over `data`.
        file_count: Files in it.
    """

    data: bytes
    digest: str
    file_count: int


def path_problem(path: str) -> str:
    """Why a path can't be in an artifact; "" when it can."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    parts = path.split("/")
    if path.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        return "it must be a plain path inside the folder"
    if "\\" in path or any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} for c in path):
        return "its name holds a backslash or a control character; rename it"
    if any(part != part.strip() for part in parts):
        return "its name begins or ends with a blank; rename it"
    if unicodedata.normalize("NFC", path) != path:
        return "its name is not in Unicode's composed form (NFC); rename it"
    if len(raw) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return f"its name is too long: at most {MAX_PART_BYTES} bytes a part and {MAX_PATH_BYTES} in all"
    return ""


def collisions(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of paths that some file system can't tell apart, or of which one is both file and folder."""
    seen: dict[str, str] = {}
    files: set[str] = set()
    for path in paths:
        files.add(path.casefold())
        for part in _prefixes(path):
            other = seen.setdefault(part.casefold(), part)
            if other != part:
                yield other, part
    for path in seen.values():
        parent = path.rpartition("/")[0]
        if parent and parent.casefold() in files:
            yield parent, path


def _prefixes(path: str) -> Iterator[str]:
    """The path's folders and itself, from the top."""
    parts = path.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts) + 1))


def write_archive(files: Iterable[ArchiveFile]) -> Archive:
    """Pack files.

    Raises:
        Invalid: A path that can't be in an artifact, a path twice, or no file at all.
        TooLarge: Too many files or bytes.
    """
    ordered = sorted(files, key=lambda file: file.path.encode(errors="surrogateescape"))
    if not ordered:
        raise Invalid("an artifact must have at least one file")
    _check_caps(len(ordered), sum(len(f.data) for f in ordered))
    for file in ordered:
        if problem := path_problem(file.path):
            raise Invalid(f"file {file.path!r} can't be packed: {problem}")
    for one, other in collisions(f.path for f in ordered):
        raise Invalid(
            f"files {one!r} and {other!r} can't be packed together: some systems can't tell them apart; rename one"
        )
    blocks: list[bytes] = []
    for before, file in zip([None, *ordered], ordered, strict=False):
        if before is not None and before.path == file.path:
            raise Invalid(f"file {file.path!r} comes twice; give it once")
        if len(file.data) > MAX_FILE_BYTES:
            raise TooLarge(f"file {file.path!r} has {len(file.data)} bytes; at most {MAX_FILE_BYTES}")
        blocks += [_header(file.path, len(file.data), executable=file.executable), file.data, _padding(len(file.data))]
    data = b"".join([*blocks, _END])
    return Archive(data, "sha256:" + hashlib.sha256(data).hexdigest(), len(ordered))


def read_archive(data: bytes) -> list[ArchiveFile]:
    """The files of an archive, in order, when it is exactly one that `write_archive` makes.

    Raises:
        Invalid: It is not; the message says what is wrong where.
        TooLarge: Too many files or bytes.
    """
    files: list[ArchiveFile] = []
    offset = total = 0
    while data[offset : offset + _BLOCK] != bytes(_BLOCK):
        file, offset = _read_file(data, offset)
        if files and file.path.encode() <= files[-1].path.encode():
            raise Invalid(f"archive: {file.path!r} comes twice or out of order; pack it again with 'aspora apply'")
        files.append(file)
        total += len(file.data)
        _check_caps(len(files), total)
    if data[offset:] != _END:
        raise Invalid(f"archive: after its last file, at byte {offset}, there must be two empty blocks and no more")
    if not files:
        raise Invalid("archive: holds no file; it must have at least one")
    for one, other in collisions(f.path for f in files):
        raise Invalid(
            f"archive: {one!r} and {other!r} can't lie beside each other on every system; rename one and pack it again"
        )
    return files


def unpack(data: bytes, folder: Path) -> list[str]:
    """Write an archive's files into an empty folder and return their paths.

    Raises:
        Invalid: The archive is not canonical; nothing has been written.
        TooLarge: Too many files or bytes; nothing has been written.
        OSError: The folder can't be written.
    """
    files = read_archive(data)
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as out:
            out.write(file.data)
            os.fchmod(fd, 0o755 if file.executable else 0o644)
    return [file.path for file in files]


def _check_caps(count: int, total: int) -> None:
    if count > MAX_FILES:
        raise TooLarge(f"an artifact holds at most {MAX_FILES} files; name what to leave out in .aspora-ignore")
    if total > MAX_TOTAL_BYTES:
        raise TooLarge(f"an artifact holds at most {MAX_TOTAL_BYTES} bytes; name what to leave out in .aspora-ignore")


def _header(path: str, size: int, *, executable: bool) -> bytes:
    """A ustar header, written by hand: the form must never change with a library. Source: POSIX.1-2017, pax."""
    prefix, name = _split(path)
    mode = b"0000755" if executable else b"0000644"
    fields = (
        (name, 100), (mode, 8), (b"0000000", 8), (b"0000000", 8), (b"%011o" % size, 12), (b"%011o" % 0, 12),
        (b" " * 8, 8), (b"0", 1), (b"", 100), (b"ustar\x0000", 8), (b"", 32), (b"", 32), (b"", 8), (b"", 8),
        (prefix, 155), (b"", 12),
    )  # fmt: skip
    header = b"".join(value.ljust(width, b"\0") for value, width in fields)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _split(path: str) -> tuple[bytes, bytes]:
    """Prefix and name; the path is cut at the last '/' that leaves a prefix of at most 155 bytes."""
    raw = path.encode()
    if len(raw) <= 100:
        return b"", raw
    cut = raw.rfind(b"/", 0, 156)
    prefix, name = raw[: max(cut, 0)], raw[cut + 1 :]
    if cut <= 0 or len(name) > 100:
        raise Invalid(f"file {path!r} can't be packed: its path is too long; shorten it")
    return prefix, name


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _read_file(data: bytes, offset: int) -> tuple[ArchiveFile, int]:
    header = data[offset : offset + _BLOCK]
    try:
        prefix, name = (header[i:j].rstrip(b"\0").decode() for i, j in ((345, 500), (0, 100)))
        size = int(header[124:135], 8)
    except ValueError:
        raise Invalid(f"archive: no file header at byte {offset}; is it an artifact made by Aspora?") from None
    path = f"{prefix}/{name}" if prefix else name
    shown = repr(path[:120])
    if problem := path_problem(path):
        raise Invalid(f"archive: {shown} at byte {offset}: {problem}")
    executable = header[100:107] == b"0000755"
    if not 0 <= size <= MAX_FILE_BYTES:
        raise TooLarge(f"archive: {shown} says it has {size} bytes; at most {MAX_FILE_BYTES}")
    if header != _header(path, size, executable=executable):
        raise Invalid(
            f"archive: {shown} is not a plain file in canonical form (link, device, owner, "
            "time or mode); pack it with 'aspora apply'"
        )
    start, end = offset + _BLOCK, offset + _BLOCK + size
    padding = _padding(size)
    if data[end : end + len(padding)] != padding or end > len(data):
        raise Invalid(f"archive: {shown} is cut short or followed by hidden bytes; pack it again with 'aspora apply'")
    return ArchiveFile(path, data[start:end], executable), end + len(padding)
