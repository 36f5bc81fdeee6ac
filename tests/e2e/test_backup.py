"""Backup and restore by the command line, of an Aspora that runs, into a data directory that is new."""

from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.server import Aspora, prepared, started

pytestmark = [pytest.mark.xdist_group("backup"), pytest.mark.timeout(300)]
SECRET = """apiVersion: aspora.dev/v1
kind: Secret
metadata: {name: crm, domain: default}
spec: {data: {token: hunter2}}
"""


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started() as running:
        running.ok("apply", "-f", "skills/wealth/fx-timing")
        running.ok("apply", "-f", "-", stdin=SECRET)
        yield running


def test_all_comes_back_in_a_new_data_directory(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "all.tar"
    done = aspora.run("backup", str(file))
    assert done.code == 0, done.err
    assert "is NOT in the backup" in done.err
    assert b"hunter2" not in file.read_bytes()
    assert (aspora.data_dir / "secret.key").read_text().strip().encode() not in file.read_bytes()
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
