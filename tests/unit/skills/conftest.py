"""Folders of skills, made in memory as text and written where a test wants them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

SKILL_MD = "---\nname: toy\ndescription: A toy. Use it in tests.\n---\n\nDo the thing.\n"

MakeSkill = Callable[..., Path]


@pytest.fixture
def make_skill(tmp_path: Path) -> MakeSkill:
    """Write `skills/<domain>/<name>` with these files; `SKILL.md` and `DOMAIN.md` unless given as None."""

    def make(files: Mapping[str, str | bytes | None] | None = None, *, domain: str = "demo", name: str = "toy") -> Path:
        folder = tmp_path / "skills" / domain / name
        folder.mkdir(parents=True)
        (folder.parent / "DOMAIN.md").write_text(f"# {domain}\n\nA domain for tests.\n")
        wanted = {"SKILL.md": SKILL_MD.replace("name: toy", f"name: {name}"), **(files or {})}
        for path, content in wanted.items():
            if content is None:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make
