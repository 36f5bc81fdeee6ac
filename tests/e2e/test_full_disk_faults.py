"""The disk is full, under the artifacts and under the database: told clearly, nothing half-written, healed by space.

Both are small file systems in memory, mounted in a mount namespace of Aspora's own, below a folder that the test made.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tests.e2e.cluster import COUNT, SKILL_MD
from tests.e2e.server import REPO, Aspora, prepared

from aspora.db.attach import attached_dsn

pytestmark = pytest.mark.timeout(300)

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
READY_SECONDS = 120.0
HEALED_SECONDS = 60.0
MOST_SEGMENTS = 16
ROUNDS = 4 if IS_FULL else 1
DATA_SIZE = "400m"
ARTIFACTS_SIZE = "2m"
MERGE_PATCH = "application/merge-patch+json"
DOMAINS = "/api/v1/domains"
MOUNT = """set -e
mount -t tmpfs -o mode=0755,size=$4 none "$2"
mount -t tmpfs -o mode=0755,size=$5 none "$3"
exec "$1" -m aspora up
"""
"""Argument 1 is the interpreter, 2 and 3 the folders, 4 and 5 their sizes."""


@dataclass(frozen=True, slots=True)
class Cramped:
    """An Aspora that runs on two small disks; its files are seen through its own root."""

    aspora: Aspora
    artifacts: Path

    def fill(self, disk: Path, *, but_bytes: int = 0) -> Path:
        """Take all that is left of a disk, but for some."""
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                file.truncate(filler.stat().st_size - but_bytes)
        return filler

    @contextlib.contextmanager
    def filled(self, but_bytes: int) -> Generator[None]:
        """The database's disk is full for the time of the block."""
        filler = self.fill(self.aspora.data_dir.parent, but_bytes=but_bytes)
        try:
            yield
        finally:
            filler.unlink()

    def blobs(self) -> dict[str, int]:
        """Every file below the artifact folder, with its size."""
        return {
            str(path.relative_to(self.artifacts)): path.stat().st_size
            for path in self.artifacts.rglob("*")
            if path.is_file() and path.name != "filler"
        }

    def make(self, name: str, note: str) -> tuple[int, Any]:
        """A domain with a long note."""
        return self.aspora.http(
            "POST", DOMAINS, {"metadata": {"name": name, "annotations": {"note": note}}, "spec": {}}
        )

    def change(self, name: str, note: str) -> tuple[int, Any]:
        """Another note for it."""
        patch = {"metadata": {"annotations": {"note": note}}}
        return self.aspora.http("PATCH", f"{DOMAINS}/{name}", patch, headers={"Content-Type": MERGE_PATCH})


@pytest.fixture(scope="module")
def cramped() -> Generator[Cramped]:
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0 or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here; it needs root and unshare")
    with prepared(ASPORA_SANDBOX_WARM="1", ASPORA_EXECUTOR_SLOTS="4") as outside:
        folder = outside.data_dir.parent
        data, artifacts, log = folder / "disk", folder / "artifacts", folder / "up.log"
        for path in (data, artifacts):
            path.mkdir(mode=0o755)
        own = {"ASPORA_DATA_DIR": str(data / "data"), "ASPORA_ARTIFACTS_URL": str(artifacts)}
        arguments = [sys.executable, str(data), str(artifacts), DATA_SIZE, ARTIFACTS_SIZE]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*unshare, "sh", "-c", MOUNT, "sh", *arguments],
                env={**outside.environ, **own},
                cwd=REPO,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        root = Path(f"/proc/{process.pid}/root")
        try:
            wait_ready(process, log)
            inside = Path(f"{root}{data}") / "data"
            url = json.loads((inside / "endpoint.json").read_text())["url"]
            key = (inside / "admin.key").read_text().strip()
            aspora = Aspora(inside, {**outside.environ, "ASPORA_URL": url, "ASPORA_API_KEY": key})
            yield Cramped(aspora, Path(f"{root}{artifacts}"))
            assert process.poll() is None, "Aspora ended\n" + log.read_text()[-4000:]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while "is ready at" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def make_skill(folder: Path, name: str, size_bytes: int) -> Path:
    """A skill with a handler and a large file beside it that can't be made smaller."""
    skill = folder / "skills" / "full" / name
    (skill / "code").mkdir(parents=True)
    (skill / "references").mkdir()
    (skill / "SKILL.md").write_text(SKILL_MD.format(description="Counts.").replace("count", name))
    (skill / "code" / "handler.py").write_text(COUNT)
    (skill / "references" / "table.bin").write_bytes(os.urandom(size_bytes))
    return skill


def test_faults_a_full_disk_under_the_artifacts(cramped: Cramped, tmp_path: Path) -> None:
    skill = make_skill(tmp_path, "large", 500_000)
    before = cramped.blobs()
    filler = cramped.fill(cramped.artifacts, but_bytes=100_000)  # So that the artifact's beginning finds room.
    refused = cramped.aspora.run("apply", "-f", str(skill))
    assert refused.code != 0
    said = refused.out + refused.err
    assert "No space left on device" in said
    assert "free space" in said
    assert cramped.blobs() == before, "something half-written stayed"
    assert cramped.aspora.run("get", "skills", "large", "-d", "full").code != 0
    filler.unlink()
    cramped.aspora.ok("apply", "-f", str(skill))
    cramped.aspora.ok("run", "full/large", "--input-json", "-", stdin=json.dumps({"n": 1, "seconds": 0}))


def healed(cramped: Cramped, name: str, note: str) -> None:
    """The same write goes through again, with nobody restarting anything."""
    deadline = time.monotonic() + HEALED_SECONDS
    while True:
        status, body = cramped.change(name, note)
        if status == 200:
            return
        assert status == 503, body
        assert time.monotonic() < deadline, body
        time.sleep(0.2)


def superuser(cramped: Cramped) -> "psycopg.Connection[Any]":
    """A connection, which can't be begun any more on a full disk; the server's log stands at the start of a file."""
    dsn = attached_dsn(cramped.aspora.data_dir, uid=os.geteuid(), superuser=True)
    root = str(cramped.aspora.data_dir).split("/root/", 1)[0] + "/root"
    held = psycopg.connect(dsn, autocommit=True, host=f"{root}{conninfo_to_dict(dsn)['host']}")
    held.execute("select pg_switch_wal()")
    held.execute("select pg_logical_emit_message(true, 'test', 'the file is made when it is first written to')")
    return held


def stop_the_server(held: "psycopg.Connection[Any]") -> None:
    """Make the server need a new file for its log; without room for one it stops at once, as it must."""
    statement = sql.SQL("select pg_logical_emit_message(false, 'test', 'x'); select pg_switch_wal()")
    with pytest.raises(psycopg.OperationalError):
        held.execute(sql.SQL("; ").join([statement] * MOST_SEGMENTS))
    assert held.broken


def fill_up(cramped: Cramped, name: str, acknowledged: dict[str, int]) -> Any:
    """Write until that is refused; the refusal."""
    for n in range(4000):
        made = f"{name}-{n}"
        status, body = cramped.make(made, os.urandom(15_000).hex())
        if status != 201:
            assert status == 503, body
            return body
        acknowledged[made] = len(body["metadata"]["annotations"]["note"])
    pytest.fail("the disk did not become full")


@pytest.mark.parametrize("is_log_full", [False, True], ids=["tables", "log"])
def test_faults_a_full_disk_under_the_database(cramped: Cramped, is_log_full: bool) -> None:
    name = f"kept-{is_log_full}".lower()
    assert cramped.make(name, "0")[0] == 201
    for turn in range(ROUNDS):
        acknowledged: dict[str, int] = {}
        for n in range(5):
            assert cramped.make(f"{name}-{turn}-before-{n}", "x" * 1000)[0] == 201
            acknowledged[f"{name}-{turn}-before-{n}"] = 1000
        with superuser(cramped) as held, cramped.filled(0 if is_log_full else 3_000_000):
            if is_log_full:
                stop_the_server(held)
            refused = fill_up(cramped, f"{name}-{turn}", acknowledged)
        assert refused["reason"] == "Unavailable"
        assert is_log_full or len(acknowledged) > 5
        assert refused["reason"] == "Unavailable"
        if not is_log_full:
            assert "No space left on device" in refused["message"]
            assert "free disk" in refused["message"]
        healed(cramped, name, str(turn))
        for made, length in acknowledged.items():
            status, body = cramped.aspora.http("GET", f"{DOMAINS}/{made}")
            assert (status, len(body["metadata"]["annotations"]["note"])) == (200, length)
        print(f"{len(acknowledged)} writes acknowledged, then: {refused['message']}")
