"""Unpacked artifacts on the local disk: one read-only folder for each digest, shared by all processes of the machine.

An entry is the folder `<hex>` and the file `<hex>.entry`. Who uses the folder holds a shared lock on the file. Who
builds or deletes a folder holds the lock on `changes.lock`, and for deleting an exclusive one on the entry's file too.
All end with their process. The file's text is the folder's size and its time of change that of the last use, so that
every process evicts by the same order.
"""

import asyncio
import fcntl
import os
import shutil
import stat
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from aspora.artifacts.interface import ArtifactDamaged, ArtifactStore, hex_of
from aspora.kit.clock import Clock
from aspora.meta.errors import StatusError, Unavailable
from aspora.telemetry.caches import UNCOUNTED, CacheMeter

DEFAULT_MAX_BYTES = 2 * 2**30
DEFAULT_KEEP_SECONDS = 3600.0
DEFAULT_MAX_HELD = 256
_CHANGES = "changes.lock"


@dataclass(slots=True)
class _Held:
    """An entry that this process has checked and keeps a shared lock on; `_held` has the longest unused first."""

    fd: int
    used_at: float


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """An entry of any process, ordered by last use."""

    used_at: float
    digits: str
    size_bytes: int


class ArtifactCache:
    """Gives artifacts as folders. Made for one event loop; any number of processes may share the folder.

    Args:
        store: Where the archives are.
        folder: The cache's own; made when missing. All in it may be deleted while no process uses it.
        unpack: Writes an archive's files into an empty folder.
        digest_of_folder: The digest that the archive of a folder has: what an entry is checked with.
        clock: For the time of use.
        max_bytes: Entries not in use are deleted, the longest unused first, while all together are larger.
        keep_seconds: How long a folder from `materialise` stays after its last use, even when the cache is too large.
        max_held: How many folders that nobody leases this process keeps its lock on, at one file descriptor each. The
            longest unused are let go first, whatever `keep_seconds` says, and are checked anew at their next use.
        meter: Counts hits (a sound folder was there), misses and evictions.
    """

    def __init__(
        self,
        store: ArtifactStore,
        *,
        folder: Path,
        unpack: Callable[[bytes, Path], object],
        digest_of_folder: Callable[[Path], str],
        clock: Clock,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep_seconds: float = DEFAULT_KEEP_SECONDS,
        max_held: int = DEFAULT_MAX_HELD,
        meter: CacheMeter = UNCOUNTED,
    ) -> None:
        self._store = store
        self._root = folder
        self._unpack = unpack
        self._digest_of_folder = digest_of_folder
        self._clock = clock
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._max_held = max_held
        self._held: dict[str, _Held] = {}
        self._leases: Counter[str] = Counter()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._meter = meter
        self._found: list[_Entry] | None = None
        self._meter.show_entries(lambda: len(self._found or ()))
        self._meter.show_bytes(lambda: sum(entry.size_bytes for entry in self._found or ()))

    async def materialise(self, digest: str) -> Path:
        """The artifact as a read-only folder, which stays for `keep_seconds` after its last use.

        Checked against the digest once in each process; a damaged folder is built anew.

        Raises:
            NotFound: No such artifact.
            ArtifactDamaged: The stored archive does not have the digest, or is not a sound archive.
            Unavailable: The store can't be read, or the disk can't be written.
        """
        digits = hex_of(digest)
        async with self._turn(digits):
            try:
                await self._ensure(digest, digits)
            except OSError as error:
                raise Unavailable(
                    f"artifact {digest!r} can't be unpacked to {str(self._root)!r}: {error.strerror};"
                    " free some space there"
                ) from None
        return self._root / digits

    @asynccontextmanager
    async def lease(self, digest: str) -> AsyncGenerator[Path]:
        """Like `materialise`; the folder stays at least as long as the block runs."""
        digits = hex_of(digest)
        self._leases[digits] += 1
        try:
            yield await self.materialise(digest)
        finally:
            self._leases[digits] -= 1
            if not self._leases[digits]:
                del self._leases[digits]

    def close(self) -> None:
        """Let go of all folders, so that other processes may evict them."""
        for digits in list(self._held):
            self._release(digits)

    async def _ensure(self, digest: str, digits: str) -> None:
        held = self._held.get(digits)
        if held is not None and (self._root / digits).is_dir():
            held.used_at = self._clock.monotonic()
            self._held[digits] = self._held.pop(digits)
            os.utime(held.fd)
            self._meter.hit()
            return
        self._release(digits)
        fd = await asyncio.to_thread(self._open_sound, digest, digits)
        if fd is not None:
            self._hold(digits, fd)
            self._meter.hit()
            if self._found is None:
                self._found = await asyncio.to_thread(self._entries)
            return
        self._meter.miss()
        data = await self._store.get(digest)
        self._hold(digits, await asyncio.to_thread(self._build, digest, digits, data))
        await self._evict()

    def _turn(self, digits: str) -> asyncio.Lock:
        """The lock of one entry in this process; it lives as long as anybody holds it or waits for it."""
        return self._turns.setdefault(digits, asyncio.Lock())

    def _hold(self, digits: str, fd: int) -> None:
        self._held[digits] = _Held(fd, self._clock.monotonic())
        idle = [d for d in self._held if d != digits and not self._is_busy(d)]
        for longest_unused in idle[: max(0, len(idle) + 1 - self._max_held)]:
            self._release(longest_unused)

    def _release(self, digits: str) -> None:
        held = self._held.pop(digits, None)
        if held is not None:
            os.close(held.fd)

    def _open_sound(self, digest: str, digits: str) -> int | None:
        """A shared lock on an entry whose folder is right, or None when it must be built."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = _lock(self._root / f"{digits}.entry", fcntl.LOCK_SH)
        if self._is_sound(digest, digits):
            os.utime(fd)
            return fd
        os.close(fd)
        return None

    def _is_sound(self, digest: str, digits: str) -> bool:
        folder = self._root / digits
        try:
            return folder.is_dir() and self._digest_of_folder(folder) == digest
        except (OSError, StatusError):
            return False

    def _build(self, digest: str, digits: str, data: bytes) -> int:
        """Build the folder unless another process has just done so; returns a shared lock on the entry."""
        changes = _lock(self._root / _CHANGES, fcntl.LOCK_EX)
        try:
            fd = _lock(self._root / f"{digits}.entry", fcntl.LOCK_SH)
            try:
                if not self._is_sound(digest, digits):
                    self._write(digits, data)
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, str(len(data)).encode(), 0)
                os.utime(fd)
            except StatusError as error:
                os.close(fd)
                raise ArtifactDamaged(
                    f"artifact {digest!r} is no sound archive: {error.message}; apply its skill again"
                ) from None
            except BaseException:
                os.close(fd)
                raise
            return fd
        finally:
            os.close(changes)

    def _write(self, digits: str, data: bytes) -> None:
        """Others may hold the entry: they find the right folder at the same path."""
        folder, draft, old = (self._root / f"{digits}{suffix}" for suffix in ("", ".draft", ".old"))
        for rest in (draft, old):
            _remove(rest)
        draft.mkdir(mode=0o700)
        try:
            self._unpack(data, draft)
            _make_read_only(draft)
            if os.path.lexists(folder):
                folder.rename(old)
            draft.rename(folder)
        finally:
            for rest in (draft, old):
                _remove(rest)

    async def _evict(self) -> None:
        """Delete what is longest unused until the cache fits; what any process uses stays."""
        entries = self._found = await asyncio.to_thread(self._entries)
        total = sum(entry.size_bytes for entry in entries)
        for entry in list(entries):
            if total <= self._max_bytes:
                return
            if self._is_in_use(entry.digits):
                continue
            async with self._turn(entry.digits):
                self._release(entry.digits)
                if await asyncio.to_thread(self._delete, entry.digits):
                    total -= entry.size_bytes
                    entries.remove(entry)
                    self._meter.evicted()

    def _entries(self) -> list[_Entry]:
        """All entries of all processes, the longest unused first."""
        found: list[_Entry] = []
        for path in self._root.glob("*.entry"):
            with suppress(FileNotFoundError):
                text = path.read_text()
                found.append(_Entry(path.stat().st_mtime, path.stem, int(text) if text.isdigit() else 0))
        return sorted(found)

    def _is_busy(self, digits: str) -> bool:
        turn = self._turns.get(digits)
        return digits in self._leases or (turn is not None and turn.locked())

    def _is_in_use(self, digits: str) -> bool:
        if self._is_busy(digits):
            return True
        held = self._held.get(digits)
        return held is not None and self._clock.monotonic() - held.used_at < self._keep_seconds

    def _delete(self, digits: str) -> bool:
        changes = _lock(self._root / _CHANGES, fcntl.LOCK_EX)
        try:
            path = self._root / f"{digits}.entry"
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(self._root / digits)
                path.unlink()
            finally:
                os.close(fd)
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            os.close(changes)
        return True


def _lock(path: Path, how: int) -> int:
    """The file, locked; waits for whoever holds it. A file that was deleted meanwhile is opened anew."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _make_read_only(folder: Path) -> None:
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(parent, name)
            os.chmod(path, 0o555 if os.stat(path).st_mode & stat.S_IXUSR else 0o444)
        os.chmod(parent, 0o555)


def _remove(folder: Path) -> None:
    """Delete a tree, read-only folders too; nothing happens when there is none."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
