"""What the agent loop is told about a skill."""

from pathlib import Path

import pytest

from aspora.executor.failures import ExecutionFailed
from aspora.executor.skill_agent import skill_instructions

BODY = "# Do it\n\n---\n\nNot front matter.\n"


@pytest.mark.parametrize(
    "head", ["", "---\nname: x\n---\n", "\ufeff---\nname: x\ndescription: a --- b\n---\n", "---\r\nname: x\r\n---\r\n"]
)
def test_instructions_are_the_body_alone(tmp_path: Path, head: str) -> None:
    (tmp_path / "SKILL.md").write_bytes((head + BODY).encode())
    assert skill_instructions(tmp_path) == BODY


@pytest.mark.parametrize(("raw", "told"), [(None, "no readable 'SKILL.md'"), (b"\xe9", "is not UTF-8 (byte 0)")])
def test_an_unfit_artifact_is_told_with_the_way_out(tmp_path: Path, raw: bytes | None, told: str) -> None:
    if raw is not None:
        (tmp_path / "SKILL.md").write_bytes(raw)
    with pytest.raises(ExecutionFailed, match="apply it again") as failed:
        skill_instructions(tmp_path)
    assert failed.value.reason == "ArtifactUnfit"
    assert told in failed.value.message
