"""Root without CAP_SYS_RESOURCE, as in most containers: jobs limit themselves, and who would not is not used."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import aspora_sdk
from aspora.testing.folders import throwaway_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's supervisor may always set limits")

PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24
SETS_LIMITS = '_limit(params.get("rlimits") or {})'
PROBE = """
import asyncio, json, sys
from pathlib import Path
from aspora.sandbox.process.driver import ProcessDriver

async def main(folder):
    driver = ProcessDriver(work_dir=folder / "work", runtime_dir=folder / "runtime")
    try:
        probe = await driver.probe()
    finally:
        await driver.close()
    print(json.dumps({"available": probe.available, "message": probe.message, "isolates": probe.isolates}))

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture
def folder() -> Generator[Path]:
    """A folder that the sandbox's users may pass through."""
    with throwaway_folder("limits", parent=Path("/tmp")) as made:
        yield made


def drop_capability() -> None:
    """Before the program starts; its start then leaves it without."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)


def probed(folder: Path, *, instead: str = SETS_LIMITS) -> dict[str, Any]:
    """What a driver finds whose SDK has another statement where ours sets the limits."""
    sdk = folder / "sdk" / "aspora_sdk"
    sdk.mkdir(parents=True)
    for module in Path(aspora_sdk.__file__).parent.glob("*.py"):
        (sdk / module.name).write_text(module.read_text())
    job = (sdk / "job.py").read_text()
    assert SETS_LIMITS in job
    (sdk / "job.py").write_text(job.replace(SETS_LIMITS, instead))
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder)],
        env={**os.environ, "PYTHONPATH": str(sdk.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=drop_capability,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_jobs_put_themselves_under_limits(folder: Path) -> None:
    found = probed(folder)
    assert found["available"], found["message"]
    assert any("memory" in what for what in found["isolates"])


def test_an_sdk_that_ignores_limits_is_not_used(folder: Path) -> None:
    found = probed(folder, instead="pass")
    assert not found["available"]
    assert "RLIMIT_AS and RLIMIT_FSIZE" in found["message"]
    assert "CAP_SYS_RESOURCE" in found["message"]
    assert "aspora-sdk" in found["message"]


def test_limits_that_cannot_be_set_are_the_sandboxs_failure(folder: Path) -> None:
    found = probed(folder, instead='_limit({"RLIMIT_NONE": [1, 1]})')
    assert not found["available"]
    assert "could not limit itself" in found["message"]
    assert "RLIMIT_NONE" in found["message"]
    assert "handler" not in found["message"]
