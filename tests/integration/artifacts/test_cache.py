"""The cache on a real disk, with real processes: read-only, checked, rebuilt, bounded, shared."""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pydantic
import pytest

import aspora
from aspora.artifacts import ArtifactCache, ArtifactDamaged, ObjectArtifacts, open_artifacts
from aspora.meta.errors import NotFound
from aspora.skills import ArchiveFile, folder_digest, unpack, write_archive

CHILD = """
import asyncio, sys
from pathlib import Path
from aspora.artifacts import ArtifactCache, open_artifacts
from aspora.kit.clock import SystemClock
from aspora.skills import folder_digest, unpack

async def main(root, *digests):
    cache = ArtifactCache(
        open_artifacts(Path(root, "store")), folder=Path(root, "cache"), unpack=unpack,
        digest_of_folder=folder_digest, clock=SystemClock(),
    )
    for digest in digests:
        folder = await cache.materialise(digest)
        assert folder_digest(folder) == digest
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(*sys.argv[1:]))
"""


class Hands:
    """A clock whose hands the test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(tmp_path: Path) -> ObjectArtifacts:
    return open_artifacts(tmp_path / "store")


def make_cache(tmp_path: Path, store: ObjectArtifacts, clock: Hands, **options: object) -> ArtifactCache:
    return ArtifactCache(
        store,
        folder=tmp_path / "cache",
        unpack=unpack,
        digest_of_folder=folder_digest,
        clock=clock,
        **options,  # type: ignore[arg-type]
    )


def archive(n: int = 0, size: int = 3000) -> bytes:
    return write_archive([ArchiveFile("SKILL.md", bytes([n]) * size), ArchiveFile("code/run.sh", b"x", True)]).data


def start_child(root: Path, *digests: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), *digests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_read_only_folder_with_the_files(tmp_path: Path, store: ObjectArtifacts, clock: Hands) -> None:
    digest = await store.put(archive())
    cache = make_cache(tmp_path, store, clock)
    folder = await cache.materialise(digest)
    assert (folder / "SKILL.md").read_bytes() == bytes(3000)
    modes = {p.name: p.stat().st_mode & 0o777 for p in [folder, *folder.rglob("*")]}
    assert modes == {folder.name: 0o555, "SKILL.md": 0o444, "code": 0o555, "run.sh": 0o555}
    assert folder_digest(folder) == digest
    assert await cache.materialise(digest) == folder
    cache.close()


async def test_many_at_once_build_it_once(tmp_path: Path, store: ObjectArtifacts, clock: Hands) -> None:
    digest = await store.put(archive())
    builds: list[Path] = []

    def counting(data: bytes, folder: Path) -> None:
        builds.append(folder)
        unpack(data, folder)

    cache = ArtifactCache(
        store, folder=tmp_path / "cache", unpack=counting, digest_of_folder=folder_digest, clock=clock
    )
    folders = await asyncio.gather(*(cache.materialise(digest) for _ in range(20)))
    assert len(set(folders)) == len(builds) == 1
    cache.close()


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "link", "gone"])
async def test_a_damaged_folder_is_built_anew_by_the_next_process(
    tmp_path: Path, store: ObjectArtifacts, clock: Hands, damage: str
) -> None:
    digest = await store.put(archive())
    first = make_cache(tmp_path, store, clock)
    folder = await first.materialise(digest)
    folder.chmod(0o755)
    (folder / "SKILL.md").chmod(0o644)
    match damage:
        case "changed":
            (folder / "SKILL.md").write_bytes(bytes(2999) + b"x")
        case "added":
            (folder / "evil.py").write_text("x")
        case "removed":
            (folder / "SKILL.md").unlink()
        case "link":
            (folder / "SKILL.md").unlink()
            (folder / "SKILL.md").symlink_to("/etc/passwd")
        case _:
            folder.rename(tmp_path / "moved")
    second = make_cache(tmp_path, store, clock)
    assert folder_digest(await second.materialise(digest)) == digest
    assert folder_digest(await first.materialise(digest)) == digest
    first.close()
    second.close()


async def test_a_half_made_folder_is_never_used(tmp_path: Path, store: ObjectArtifacts, clock: Hands) -> None:
    digest = await store.put(archive())
    draft = tmp_path / "cache" / f"{digest.removeprefix('sha256:')}.draft"
    (draft / "code").mkdir(parents=True)
    (draft / "rest").write_text("from a process that died")
    draft.chmod(0o555)
    cache = make_cache(tmp_path, store, clock)
    assert folder_digest(await cache.materialise(digest)) == digest
    assert not draft.exists()
    cache.close()


async def test_what_is_missing_or_no_archive(tmp_path: Path, store: ObjectArtifacts, clock: Hands) -> None:
    cache = make_cache(tmp_path, store, clock)
    with pytest.raises(NotFound):
        await cache.materialise("sha256:" + "0" * 64)
    junk = await store.put(b"no archive")
    with pytest.raises(ArtifactDamaged, match="no sound archive"):
        await cache.materialise(junk)
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.is_dir()] == []
    cache.close()


async def test_the_longest_unused_goes_first_and_what_is_leased_stays(
    tmp_path: Path, store: ObjectArtifacts, clock: Hands
) -> None:
    digests = [await store.put(archive(n)) for n in range(5)]
    size = len(archive())
    cache = make_cache(tmp_path, store, clock, max_bytes=3 * size, keep_seconds=10)
    async with cache.lease(digests[0]) as leased:
        for digest in digests[1:3]:
            clock.seconds += 1
            await cache.materialise(digest)
        clock.seconds += 1
        await cache.materialise(digests[3])
        folders = [tmp_path / "cache" / d.removeprefix("sha256:") for d in digests]
        assert all(f.is_dir() for f in folders[:4]), "all were used within keep_seconds"
        clock.seconds += 10
        await cache.materialise(digests[2])
        await cache.materialise(digests[4])
        assert [f.is_dir() for f in folders] == [True, False, True, False, True]
        assert leased.is_dir()
    cache.close()


async def test_it_holds_no_more_files_open_than_it_may_and_leased_ones_always(
    tmp_path: Path, store: ObjectArtifacts, clock: Hands
) -> None:
    digests = [await store.put(archive(n)) for n in range(8)]
    cache = make_cache(tmp_path, store, clock, max_held=2)
    entries = tmp_path / "cache"

    def held() -> list[bool]:
        return [is_locked(entries / f"{d.removeprefix('sha256:')}.entry") for d in digests]

    async with cache.lease(digests[0]):
        for digest in [*digests[1:7], digests[5], digests[7]]:
            await cache.materialise(digest)
        assert held() == [True, False, False, False, False, True, False, True]
    assert folder_digest(await cache.materialise(digests[1])) == digests[1]
    assert held() == [False, True, False, False, False, False, False, True]
    cache.close()


def is_locked(entry: Path) -> bool:
    with entry.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_what_another_process_uses_stays(tmp_path: Path, store: ObjectArtifacts, clock: Hands) -> None:
    used, newer = await store.put(archive(1)), await store.put(archive(2))
    child = start_child(tmp_path, used)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    cache = make_cache(tmp_path, store, clock, max_bytes=1, keep_seconds=0)
    folder = tmp_path / "cache" / used.removeprefix("sha256:")
    await cache.materialise(newer)
    assert folder.is_dir()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    await cache.materialise(await store.put(archive(3)))
    assert not folder.exists(), "its process is dead: the lock went with it"
    cache.close()


async def test_processes_that_start_together_agree(tmp_path: Path, store: ObjectArtifacts) -> None:
    digests = [await store.put(archive(n, 20_000)) for n in range(4)]
    children = [start_child(tmp_path, *digests) for _ in range(3)]
    for child in children:
        _, errors = child.communicate(input="", timeout=60)
        assert child.returncode == 0, errors
    folders = [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]
    assert sorted(p.name for p in folders) == sorted(d.removeprefix("sha256:") for d in digests)


@pytest.fixture
def home_of_nobody() -> Iterator[Path]:
    """A folder that the user `nobody` owns and can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder, "home")
        home.mkdir()
        shutil.chown(home, "nobody")
        yield home


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_can_build_rebuild_and_evict(home_of_nobody: Path) -> None:
    python = "/usr/bin/python3"
    version = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    if not os.path.exists(python) or subprocess.run([python, "-c", version], check=False).returncode:
        pytest.skip(f"no system interpreter of version {sys.version_info[:2]}")
    copies = home_of_nobody / "lib"
    copy_packages(copies)
    user = pwd.getpwnam("nobody")
    done = subprocess.run(
        [python, "-S", "-c", AS_USER, str(home_of_nobody), str(copies)],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, text=True, timeout=60,
        cwd=home_of_nobody, env={"PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.stdout == "fine\n", done.stderr


AS_USER = """
import sys
sys.path.insert(0, sys.argv[2])
import asyncio
from pathlib import Path
from aspora.artifacts import ArtifactCache, open_artifacts
from aspora.kit.clock import SystemClock
from aspora.skills.archive import ArchiveFile, unpack, write_archive
from aspora.skills.files import folder_digest

async def main(home):
    store = open_artifacts(home / "store")
    digests = [await store.put(write_archive([ArchiveFile(f"d/{n}", bytes(100))]).data) for n in range(3)]
    def make():
        return ArtifactCache(store, folder=home / "cache", unpack=unpack, digest_of_folder=folder_digest,
                             clock=SystemClock(), max_bytes=3000, keep_seconds=0)
    cache = make()
    folder = await cache.materialise(digests[0])
    (folder / "d").chmod(0o755)
    (folder / "d" / "evil").write_text("x")
    cache.close()
    cache = make()
    for digest in digests:
        assert folder_digest(await cache.materialise(digest)) == digest
    assert not folder.exists()
    print("fine")

asyncio.run(main(Path(sys.argv[1])))
"""


def copy_packages(target: Path) -> None:
    """What the script imports, where another user can read it."""
    site = Path(pydantic.__file__).parents[1]
    target.mkdir()
    shutil.copytree(Path(aspora.__file__).parent, target / "aspora", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(obstore.__file__).parent, target / "obstore")
    for name in ("pydantic", "pydantic_core", "annotated_types", "typing_inspection", "yaml", "_yaml"):
        shutil.copytree(site / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(site / "typing_extensions.py", target)
