"""The store on a real disk: flipped bytes, a full disk, a folder that can't be written."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aspora.artifacts import ArtifactDamaged, digest_of, open_artifacts
from aspora.meta.errors import NotFound, Unavailable

FULL_DISK = """
import asyncio, os, resource, signal, sys
from aspora.artifacts import open_artifacts
from aspora.meta.errors import Unavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store = open_artifacts(sys.argv[1])
try:
    asyncio.run(store.put(bytes(5000)))
except Unavailable as error:
    print(error, flush=True)
# A worker thread of the store's may still let go of the answer; an interpreter that is torn down meanwhile aborts.
os._exit(0)
"""


def blob(folder: Path, digest: str) -> Path:
    digits = digest.removeprefix("sha256:")
    return folder / "sha256" / digits[:2] / digits


async def test_a_url_and_a_path_open_the_same_store(tmp_path: Path) -> None:
    folder = tmp_path / "with blank" / "artifacts"
    digest = await open_artifacts(folder).put(b"data")
    assert blob(folder, digest).read_bytes() == b"data"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert await open_artifacts(folder.as_uri()).get(digest) == b"data"
    assert await open_artifacts(str(folder)).exists(digest)


async def test_a_large_artifact_is_hashed_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[tuple[int, bool]] = []

    def watched(data: bytes) -> str:
        threads.append((len(data), threading.current_thread() is threading.main_thread()))
        return digest_of(data)

    monkeypatch.setattr("aspora.artifacts.store.digest_of", watched)
    store, large = open_artifacts(tmp_path), bytes(2**20 + 1)
    assert await store.get(await store.put(large)) == large
    assert await store.get(await store.put(b"small")) == b"small"
    assert threads == [(len(large), False)] * 2 + [(5, True)] * 2


async def test_a_flipped_byte_is_refused_by_digest(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path)
    digest = await store.put(b"data")
    blob(tmp_path, digest).write_bytes(b"dbta")
    with pytest.raises(ArtifactDamaged, match=digest):
        await store.get(digest)
    await store.put(b"data")
    assert await store.get(digest) == b"data"


async def test_a_blob_that_was_cut_or_deleted(tmp_path: Path) -> None:
    store = open_artifacts(tmp_path)
    digest = await store.put(b"data")
    blob(tmp_path, digest).write_bytes(b"")
    with pytest.raises(ArtifactDamaged):
        await store.get(digest)
    blob(tmp_path, digest).unlink()
    with pytest.raises(NotFound):
        await store.get(digest)


def test_a_disk_that_takes_no_more_is_said_clearly_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "took no artifact of 5000 bytes" in done.stdout
    assert "free space or mend the store" in done.stdout
    assert not blob(tmp_path, digest_of(bytes(5000))).exists()


async def test_a_place_that_can_not_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can't be made"):
        open_artifacts(tmp_path / "file" / "artifacts")


async def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    store = open_artifacts(tmp_path / "a")
    (tmp_path / "a").chmod(0o500)
    with pytest.raises(Unavailable, match="took no artifact"):
        await store.put(b"data")
