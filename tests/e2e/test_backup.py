"""Backup and restore by the command line, of an Aspora that runs, into a data directory that is new."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cluster import COUNT, SKILL_MD
from tests.e2e.server import Aspora, prepared, started

pytestmark = pytest.mark.timeout(300)
SECRET = """apiVersion: aspora.dev/v1
kind: Secret
metadata: {name: crm, domain: default}
spec: {data: {token: hunter2}}
"""
RUN_SECONDS = 90
EXECUTIONS = "/api/v1/domains/nodes/executions"


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started() as running:
        skill = running.data_dir.parent / "skills" / "nodes" / "count"
        (skill / "code").mkdir(parents=True)
        (skill / "SKILL.md").write_text(SKILL_MD.format(description="Counts."))
        (skill / "code" / "handler.py").write_text(COUNT)
        running.ok("apply", "-f", "skills/wealth/fx-timing", "-f", str(skill))
        running.ok("apply", "-f", "-", stdin=SECRET)
        yield running


def count(aspora: Aspora, n: int, *, seconds: float, wait: int) -> dict[str, Any]:
    """Run the skill; with no `wait` the execution is durable."""
    wire = {"input": {"userMessage": "", "userId": "u", "metadata": {"n": n, "seconds": seconds}}}
    status, body = aspora.http("POST", f"/api/v1/domains/nodes/skills/count/executions?wait={wait}", wire)
    assert status in {201, 202}, body
    return body


def ended(aspora: Aspora, name: str) -> dict[str, Any]:
    """An execution's status, once it has ended."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        _, body = aspora.http("GET", f"{EXECUTIONS}/{name}")
        if body["status"]["state"] in {"Succeeded", "Failed", "Cancelled"}:
            return body["status"]
        assert time.monotonic() < deadline, body
        time.sleep(0.05)


def test_all_comes_back_in_a_new_data_directory(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    before = count(aspora, 1, seconds=0, wait=20)
    under_way = count(aspora, 2, seconds=20, wait=0)["metadata"]["name"]
    while aspora.http("GET", f"{EXECUTIONS}/{under_way}")[1]["status"]["state"] != "Running":
        time.sleep(0.05)
    done = aspora.run("backup", str(file))
    assert done.code == 0, done.err
    assert "is NOT in the backup" in done.err
    assert b"hunter2" not in file.read_bytes()
    assert (aspora.data_dir / "secret.key").read_text().strip().encode() not in file.read_bytes()
    assert "is whole" in aspora.ok("backup", "--verify", str(file))
    refused = aspora.run("restore", str(file))
    assert (refused.code, "already in use" in refused.err) == (4, True)
    with prepared() as other:
        assert other.run("backup", str(tmp_path / "none.tar")).code == 4
        done = other.run("restore", str(file))
        assert done.code == 0, done.err
        assert "watches from before the restore begin anew" in done.out
        assert "put that key into" in done.err
        other.ok("up", "--detach")
        assert "fx-timing" in other.ok("get", "skills", "-d", "wealth")
        assert "SecretKeyMissing" in other.ok("get", "secrets", "-d", "default")
        assert other.ok("get", "revisions", "-d", "wealth", "-o", "name") == aspora.ok(
            "get", "revisions", "-d", "wealth", "-o", "name"
        )
        # What had ended is as it was; what was under way has ended, and does not begin anew.
        assert ended(other, before["metadata"]["name"]) == before["status"]
        assert ended(other, under_way)["state"] == "Failed"
        assert count(other, 3, seconds=0, wait=20)["status"]["result"]["data"] == {"n": 3}
        durable = ended(other, count(other, 4, seconds=0, wait=0)["metadata"]["name"])
        assert (durable["state"], durable["result"]["data"]) == ("Succeeded", {"n": 4})
        _, page = other.http("GET", EXECUTIONS)
        assert len(page["items"]) == 4
    assert aspora.http("GET", f"{EXECUTIONS}/{under_way}")[1]["status"]["state"] in {"Running", "Succeeded"}
