"""What the agent loop is told about a skill."""

from pathlib import Path

import pytest

from aspora.executor.skill_agent import skill_instructions

BODY = "# Do it\n\n---\n\nNot front matter.\n"


@pytest.mark.parametrize(
    "head", ["", "---\nname: x\n---\n", "\ufeff---\nname: x\ndescription: a --- b\n---\n", "---\r\nname: x\r\n---\r\n"]
)
def test_instructions_are_the_body_alone(tmp_path: Path, head: str) -> None:
    (tmp_path / "SKILL.md").write_bytes((head + BODY).encode())
    assert skill_instructions(tmp_path) == BODY
