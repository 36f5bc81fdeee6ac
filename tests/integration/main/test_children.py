"""Child processes, with a script in place of the interpreter so that only the starting is under test."""

from pathlib import Path

import pytest

from aspora.main.children import Child, ChildSpec
from aspora.meta.errors import Conflict

TELL_ENVIRONMENT = """#!/bin/sh
read -r config
echo "{\\"ready\\": \\"key=$OPENROUTER_API_KEY url=$ASPORA_DATABASE_URL plain=$PLAIN config=${#config}\\"}"
exec cat
"""


FAIL = """#!/bin/sh
read -r config
echo '{"failed": "Conflict", "why": "the port is taken"}'
exit 1
"""


async def test_why_a_child_ended_is_told_by_whoever_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "interpreter"
    script.write_text(FAIL)
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    child = Child(ChildSpec("gateway", {}), stop_grace_seconds=5)
    child.start()
    try:
        with pytest.raises(Conflict, match="the port is taken"):
            await child.wait_ready("gateway", timeout_seconds=10)
    finally:
        await child.stop()


async def test_a_child_inherits_the_environment_without_secret_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "interpreter"
    script.write_text(TELL_ENVIRONMENT)
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    monkeypatch.setenv("OPENROUTER_API_KEY", "hunter2")
    monkeypatch.setenv("ASPORA_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("PLAIN", "here")
    child = Child(ChildSpec("executor", {}), stop_grace_seconds=5)
    child.start()
    try:
        await child.wait_ready("key= url= plain=here config=2", timeout_seconds=10)
    finally:
        await child.stop()
