"""The process driver's tests once more as an ordinary user, when they run as root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from aspora.sandbox.process.runtime import ensure_runtime, start_problem

ROOT = Path(__file__).parents[2]
UID = 60799
TESTS = ("tests/contract/test_sandbox_process.py", "tests/contract/test_sandbox_process_faults.py")
# What does not depend on the user has been seen as root already.
CHOSEN = "not warm and not bad_lines and not loading and not endless and not calls and not logs and not refused"


@pytest.fixture
def home() -> Generator[Path]:
    """A folder of that user's own."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-user-"))
    os.chown(folder, UID, UID)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(400)
@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
def test_the_suite_passes_as_an_ordinary_user(home: Path) -> None:
    runtime = ensure_runtime(runtime_dir=home / "runtime", uid=UID)
    packages = Path(pytest.__file__).parents[1]
    paths = [ROOT / "src", ROOT / "sdk/python/src", packages]
    env = {
        "PATH": os.defpath,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(home),
    }
    if runtime.library_dir is not None:
        env["LD_LIBRARY_PATH"] = str(runtime.library_dir)
    if problem := start_problem(runtime, UID):
        pytest.skip(f"no interpreter that user {UID} can start: {problem}")
    command = [
        str(runtime.python),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-k",
        CHOSEN,
        *TESTS,
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env=env, user=UID, group=UID, extra_groups=[], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
