"""What an agent may read, and how a wrong call is answered."""

from pathlib import Path

import pytest

from aspora.executor.agent_tools import (
    MAX_READ_CHARACTERS,
    FolderFiles,
    ToolRefused,
    build_tools,
    call_tool,
    readable_paths,
)
from aspora.executor.blocked import is_blocked

NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    root = tmp_path / "skill"
    for name in ("SKILL.md", "references/a.md", "references/runbooks/r.md", "data/orders.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
    (root / "references/long.md").write_text("x" * (MAX_READ_CHARACTERS + 10))
    (root / "references/image.bin").write_bytes(b"\xff\xd8")
    (tmp_path / "outside.md").write_text("outside")
    (root / "references/link.md").symlink_to(tmp_path / "outside.md")
    (root / "linked").symlink_to(tmp_path)
    return FolderFiles(root)


def test_references_are_open_by_default_and_links_are_no_files(files: FolderFiles) -> None:
    assert readable_paths(files, permitted=NOTHING, blocked=()) == [
        "references/a.md",
        "references/image.bin",
        "references/long.md",
        "references/runbooks/r.md",
    ]


def test_the_permission_read_opens_the_artifact_and_a_block_closes_it(files: FolderFiles) -> None:
    opened = readable_paths(files, permitted=frozenset({"read"}), blocked=["runbooks", "references/*.bin", "data"])
    assert opened == ["SKILL.md", "references/a.md", "references/long.md"]


@pytest.mark.parametrize(
    ("pattern", "blocked"),
    [
        ("runbooks", True),
        ("references/", True),
        ("references/runbooks", True),
        ("references/**", True),
        ("*.md", True),
        ("runbook", False),
        ("other/*", False),
        ("runbooks/r.md", False),
    ],
)
def test_patterns(pattern: str, blocked: bool) -> None:
    assert is_blocked("references/runbooks/r.md", [pattern]) is blocked


def test_with_nothing_to_read_there_is_no_tool(files: FolderFiles) -> None:
    assert build_tools(files, permitted=NOTHING, blocked=["references"]) == []


async def test_reads_in_pages(files: FolderFiles) -> None:
    tools = build_tools(files, permitted=NOTHING, blocked=())
    first = await call_tool(tools, "read", '{"path": "references/long.md"}')
    assert first.endswith(f"[10 characters more; continue with offset {MAX_READ_CHARACTERS}]")
    rest = await call_tool(tools, "read", f'{{"path": "./references/long.md", "offset": {MAX_READ_CHARACTERS}}}')
    assert rest == "x" * 10


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("write", "{}", "no tool 'write'; tools: read"),
        ("read", "{", "not JSON"),
        ("read", "", "arguments.path: is required"),
        ("read", '{"path": 3}', "arguments.path: must be of type string"),
        ("read", '{"path": "SKILL.md"}', "no readable file 'SKILL.md'; readable: references/a.md"),
        ("read", '{"path": "references/../SKILL.md"}', "no readable file"),
        ("read", '{"path": "/etc/passwd"}', "no readable file"),
        ("read", '{"path": "references/link.md"}', "no readable file"),
        ("read", '{"path": "references/image.bin"}', "not a text file"),
    ],
)
async def test_a_wrong_call_is_answered_so_that_it_can_be_corrected(
    files: FolderFiles, name: str, arguments: str, says: str
) -> None:
    with pytest.raises(ToolRefused, match=says):
        await call_tool(build_tools(files, permitted=NOTHING, blocked=()), name, arguments)
