"""Run a bundled skill as the host does: artifact layout, fresh process, an interpreter with its standard library."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aspora_sdk

ROOT = Path(__file__).parents[3]
SKILLS = ROOT / "skills"
BOOT = Path(aspora_sdk.__file__).with_name("boot.py")


def assemble(skill_id: str, artifact: Path) -> Path:
    """The skill's folder with its domain's `shared/` beside the skill's files, as an artifact has it."""
    ignore = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(SKILLS / skill_id, artifact, ignore=ignore)
    shared = (SKILLS / skill_id).parent / "shared"
    if shared.is_dir():
        shutil.copytree(shared, artifact / "shared", ignore=ignore)
    return artifact


def run_job(artifact: Path, given: dict[str, Any]) -> dict[str, Any]:
    """One job to its answer, answering `tools.read` from the artifact."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(BOOT)],
        cwd=artifact,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        params = {"entry_point": "code/handler.py", "context": {"input": given, "deadline_seconds": 30.0}}
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "execute", "params": params}
        while True:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            asked = json.loads(next(line for line in process.stdout if '"method":"log"' not in line))
            if "method" not in asked:
                process.stdin.close()
                assert process.wait(timeout=20) == 0
                assert process.stderr.read() == ""
                return asked
            assert asked["method"] == "tools.read", asked
            text = (artifact / asked["params"]["path"]).read_text(encoding="utf-8")
            message = {"jsonrpc": "2.0", "id": asked["id"], "result": text}


@pytest.fixture
def run_skill(tmp_path: Path) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Run one request against a bundled skill in its own process."""

    def run(skill_id: str, given: dict[str, Any]) -> dict[str, Any]:
        artifact = tmp_path / "artifact"
        return run_job(artifact if artifact.exists() else assemble(skill_id, artifact), given)

    return run
