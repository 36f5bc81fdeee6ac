"""The tools an agent run may use: what the skill's permissions allow and nothing else.

`read` gives a file of the skill's artifact. It is there for `references/` without being asked for; the permission
`read` opens the whole artifact; `blocked_resources` closes what it names, whatever else is said.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast

from aspora.executor.blocked import is_blocked
from aspora.executor.tool_schema import compile_schema

REFERENCES = "references/"
MAX_FILES = 2000
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_READ_CHARACTERS = 40_000


class ToolRefused(Exception):
    """A tool call that can't be done; the message goes to the model, so that it can do something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTool:
    """A tool as the model sees it and as it runs.

    Attributes:
        name: What the model calls.
        description: When and how to use it.
        schema: JSON Schema of the arguments.
        run: Does it; raises `ToolRefused` with an answer for the model.
        problems: Every problem of some arguments; made from `schema`.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    run: Callable[[Mapping[str, Any]], Awaitable[str]]
    problems: Callable[[Any], list[str]]


def make_tool(
    *, name: str, description: str, schema: Mapping[str, Any], run: Callable[[Mapping[str, Any]], Awaitable[str]]
) -> AgentTool:
    """A tool whose arguments are checked against its schema.

    Raises:
        UnsupportedSchema: The schema can't be checked.
    """
    return AgentTool(name=name, description=description, schema=schema, run=run, problems=compile_schema(schema))


class SkillFiles(Protocol):
    """The files of one revision's artifact."""

    def paths(self) -> Sequence[str]:
        """All paths relative to the artifact's root, with `/`, sorted."""
        ...

    def read(self, path: str) -> bytes:
        """The whole content of one of `paths()`.

        Raises:
            FileNotFoundError: It is none of them.
        """
        ...


class FolderFiles:
    """An artifact unpacked into a folder; links are not files of it.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        found = (p for p in sorted(root.rglob("*")) if p.is_file() and not _has_link(p, root=root))
        self._paths = [p.relative_to(root).as_posix() for p, _ in zip(found, range(MAX_FILES), strict=False)]

    def paths(self) -> Sequence[str]:
        """All regular files, at most `MAX_FILES`."""
        return self._paths

    def read(self, path: str) -> bytes:
        """The whole content of a listed file, at most `MAX_FILE_BYTES`."""
        if path not in self._paths:
            raise FileNotFoundError(path)
        with (self._root / path).open("rb") as file:
            return file.read(MAX_FILE_BYTES)


def _has_link(path: Path, *, root: Path) -> bool:
    return any(p.is_symlink() for p in (path, *path.parents) if p.is_relative_to(root) and p != root)


def readable_paths(files: SkillFiles, *, permitted: frozenset[str], blocked: Sequence[str]) -> list[str]:
    """The files an agent may read."""
    whole = "read" in permitted
    return [p for p in files.paths() if (whole or p.startswith(REFERENCES)) and not is_blocked(p, blocked)]


_READ_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "minLength": 1, "description": "Path of the file, as listed."},
        "offset": {"type": "integer", "minimum": 0, "description": "First character to return; default 0."},
    },
    "required": ["path"],
    "additionalProperties": False,
}


def _read_tool(files: SkillFiles, paths: Sequence[str]) -> AgentTool:
    async def run(arguments: Mapping[str, Any]) -> str:
        path = str(PurePosixPath(arguments["path"]))
        if path not in paths:
            raise ToolRefused(f"no readable file {arguments['path']!r}; readable: {', '.join(paths[:50])}")
        try:
            text = files.read(path).decode()
        except UnicodeDecodeError:
            raise ToolRefused(f"{path!r} is not a text file; read another") from None
        return _page(text, offset=int(arguments.get("offset", 0)))

    return make_tool(
        name="read",
        description="Read one of this skill's files. Long files come in pages: pass `offset` for the next one.",
        schema=_READ_SCHEMA,
        run=run,
    )


def _page(text: str, *, offset: int) -> str:
    page = text[offset : offset + MAX_READ_CHARACTERS]
    end = offset + len(page)
    return page if end >= len(text) else f"{page}\n\n[{len(text) - end} characters more; continue with offset {end}]"


def build_tools(files: SkillFiles, *, permitted: frozenset[str], blocked: Sequence[str]) -> list[AgentTool]:
    """All tools of a run. A permission without a tool behind it adds nothing."""
    paths = readable_paths(files, permitted=permitted, blocked=blocked)
    return [_read_tool(files, paths)] if paths else []


def parse_arguments(text: str) -> Any:
    """The arguments a model wrote; an empty text is an empty object.

    Raises:
        ToolRefused: They are no JSON.
    """
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as e:
        detail = e.msg if isinstance(e, json.JSONDecodeError) else "too deep"
        raise ToolRefused(f"the arguments are not JSON ({detail}); send one JSON object") from None


async def call_tool(tools: Sequence[AgentTool], name: str, arguments: str) -> str:
    """Run a tool on the arguments a model wrote.

    Raises:
        ToolRefused: No such tool, arguments that don't fit, or the tool can't do it.
    """
    tool = next((t for t in tools if t.name == name), None)
    if tool is None:
        known = ", ".join(t.name for t in tools) or "none"
        raise ToolRefused(f"there is no tool {name!r}; tools: {known}")
    parsed = parse_arguments(arguments)
    problems = tool.problems(parsed)
    if problems:
        raise ToolRefused("the arguments don't fit: " + "; ".join(problems))
    return await tool.run(cast("Mapping[str, Any]", parsed))
