"""The file: a tar that is written once from front to back, and read the same way with every digest checked."""

import fcntl
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aspora.backup.interface import HEAD, MANIFEST, MAX_MEMBER_BYTES, MEMBER, BackupDamaged, Head
from aspora.meta.errors import Unavailable

_PREFIX = ".aspora-backup-"


class ArchiveWriter:
    """Adds members and remembers their digests; `finish` writes these as the last member."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members: list[dict[str, Any]] = []

    def add(self, name: str, data: bytes) -> None:
        """One more member."""
        self._members.append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        self._write(name, data)

    def finish(self, more: Mapping[str, Any]) -> None:
        """Write the manifest: the digests, and what else there is to say."""
        body = {**more, "members": self._members}
        self._write(MANIFEST, json.dumps(body, separators=(",", ":")).encode())
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))

    def _write(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._file.write(info.tobuf(tarfile.PAX_FORMAT))
        self._file.write(data)
        self._file.write(bytes(-len(data) % tarfile.BLOCKSIZE))


@contextmanager
def new_file(path: Path) -> Generator[IO[bytes]]:
    """A file of mode 0600 that bears its name only when the block has ended well and all is on the disk.

    Raises:
        Unavailable: The folder can't be written, or the disk is full; nothing is left behind.
    """
    _sweep(path.parent)
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as e:
        raise Unavailable(f"no backup can be made in {str(path.parent)!r}: {e.strerror}; name another place") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as e:
        raise Unavailable(
            f"the backup {str(path)!r} was not made: {e.strerror}; free some space or name another place"
        ) from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(scratch)


def _sweep(folder: Path) -> None:
    """Remove what killed backups left: their locks are free, since the kernel let go of them."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


@dataclass(frozen=True, slots=True)
class Contents:
    """A backup that was read to its end and is whole.

    Attributes:
        digests: SHA-256 of each member but the manifest, in hex.
        missing: Digests of artifacts that were referred to and not there when it was made.
    """

    head: Head
    digests: dict[str, str] = field(repr=False)
    size_bytes: int
    missing: tuple[str, ...]

    @property
    def artifacts(self) -> int:
        """How many artifacts it holds."""
        return sum(name.startswith("artifacts/") for name in self.digests)


def members_of(path: Path) -> Generator[tuple[str, bytes]]:
    """Each member's name and bytes, one at a time.

    Raises:
        BackupDamaged: Not a tar, cut off, or with members that no backup has.
        Unavailable: The file can't be read.
    """
    try:
        with tarfile.open(path, mode="r|") as tar:
            for info in tar:
                if not info.isreg() or not MEMBER.fullmatch(info.name) or info.size > MAX_MEMBER_BYTES:
                    raise BackupDamaged(
                        f"{str(path)!r} is no backup of Aspora: it holds {info.name[:80]!r}; "
                        "name a file that 'aspora backup' made"
                    )
                source = tar.extractfile(info)
                data = source.read() if source else b""
                if len(data) != info.size:
                    raise BackupDamaged(f"{str(path)!r} ends in the middle of {info.name!r}; use another backup")
                yield info.name, data
    except tarfile.TarError:
        raise BackupDamaged(f"{str(path)!r} is no whole backup of Aspora; use another") from None
    except OSError as e:
        raise Unavailable(f"{str(path)!r} can't be read: {e.strerror}; name a backup that is there and yours") from None


def read_contents(path: Path) -> Contents:
    """Read the whole file and check every digest.

    Raises:
        BackupDamaged: It is not whole, or a member is not what the manifest says.
        Unavailable: The file can't be read.
    """
    digests: dict[str, str] = {}
    sizes: dict[str, int] = {}
    head: Head | None = None
    manifest: dict[str, Any] | None = None
    for name, data in members_of(path):
        if manifest is not None or name in digests:
            raise BackupDamaged(f"{str(path)!r} has {name!r} where nothing may be; use another backup")
        if name == MANIFEST:
            manifest = _json(path, name, data)
            continue
        digests[name], sizes[name] = hashlib.sha256(data).hexdigest(), len(data)
        if name == HEAD:
            head = Head.from_json(_json(path, name, data))
    if head is None or manifest is None:
        missing = HEAD if head is None else MANIFEST
        raise BackupDamaged(f"{str(path)!r} has no {missing!r}: it was cut off; use another backup")
    _compare(path, manifest, digests)
    return Contents(head, digests, sum(sizes.values()), tuple(manifest.get("missingArtifacts", ())))


def _compare(path: Path, manifest: Mapping[str, Any], digests: Mapping[str, str]) -> None:
    said = {member["name"]: member["sha256"] for member in manifest["members"]}
    wrong = sorted(name for name in said.keys() | digests.keys() if said.get(name) != digests.get(name))
    wrong += [n for n in digests if n.startswith("artifacts/") and n.removeprefix("artifacts/") != digests[n]]
    if wrong:
        shown = ", ".join(repr(name) for name in wrong[:3]) + (" …" if len(wrong) > 3 else "")
        raise BackupDamaged(
            f"{str(path)!r} is damaged: {len(wrong)} members are not what was backed up ({shown}); use another backup"
        )


def _json(path: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BackupDamaged(f"{name!r} of {str(path)!r} can't be read; use another backup")
    return found
