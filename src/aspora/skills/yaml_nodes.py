"""YAML as nodes that know their place, safely: no tags, no duplicate keys, no bombs, and scalars stay as written.

The tree is built from PyYAML's events in one loop, so that depth, size and aliases are bounded before anything grows.
What a scalar means is decided by who reads it: `no` is text where text is wanted. Where any JSON value is wanted the
core schema of YAML 1.2 holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import yaml

from aspora.skills.problems import Report

MAX_DEPTH = 24
MAX_NODES = 20_000
_CHARACTERS_PER_VALUE = 100
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD_TAGS = {None, "!", *(f"tag:yaml.org,2002:{t}" for t in ("str", "map", "seq", "int", "float", "bool", "null"))}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS = {"null": None, "Null": None, "NULL": None, "~": None, "": None}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(slots=True, eq=False)
class Node:
    """A value in a YAML file.

    Attributes:
        kind: What it is.
        line: From 1.
        column: From 1.
        text: A scalar's text.
        plain: Whether a scalar stands without quotes and is no block of text.
        flow: Whether it is written with `{}` or `[]`.
        items: A list's values.
        keys: A map's keys, in order, with their values.
        size: Values in it, aliases written out; a long text counts as several.
    """

    kind: Literal["scalar", "list", "map"]
    line: int
    column: int
    text: str = ""
    plain: bool = False
    flow: bool = False
    items: list["Node"] = field(default_factory=list["Node"])
    keys: list[tuple["Node", "Node"]] = field(default_factory=list[tuple["Node", "Node"]])
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether it says "nothing": `null`, `~` or empty, without quotes."""
        return self.kind == "scalar" and self.plain and self.text in _WORDS

    def get(self, key: str) -> "Node | None":
        """A map's value under a key."""
        return next((value for name, value in self.keys if name.text == key), None)

    def entries(self) -> Iterator[tuple[str, "Node", "Node"]]:
        """A map's key text, key node and value."""
        return ((key.text, key, value) for key, value in self.keys)


def json_value(node: Node) -> Any:
    """The JSON value after YAML 1.2's core schema; dates, `yes`, `0x10` and `007` are text."""
    if node.kind == "list":
        return [json_value(item) for item in node.items]
    if node.kind == "map":
        return {key.text: json_value(value) for key, value in node.keys}
    text = node.text
    if not node.plain:
        return text
    if text in _WORDS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text) and len(text) < 300:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and abs(float(text)) != float("inf") else text


class _Stop(Exception):
    """The text can't be read any further; the report says why."""


class _Builder:
    """Turns events into nodes; holds the caps."""

    def __init__(self, *, shown: str, report: Report, first_line: int) -> None:
        self._shown = shown
        self._report = report
        self._first_line = first_line
        self._open: list[Node] = []
        self._pending_keys: list[Node | None] = []
        self._key_lines: list[dict[str, int]] = []
        self._anchors: dict[str, Node] = {}
        self._unfinished: dict[int, str] = {}
        self.root: Node | None = None
        self.first_flow: Node | None = None
        self.first_anchor: Node | None = None

    def feed(self, event: yaml.Event) -> None:
        """Take the next event."""
        match event:
            case yaml.ScalarEvent():
                node = self._node(event, "scalar", text=event.value, plain=not event.style)
                self._remember(event.anchor, node)
                self._add(node)
            case yaml.AliasEvent():
                self._add(self._alias(event))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._start(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case yaml.DocumentStartEvent() if self.root is not None:
                self._fail(event, "a second document begins here; a file holds one")
            case _:
                pass

    def _start(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "list"
        node = self._node(event, kind, flow=bool(event.flow_style))
        if node.flow and self.first_flow is None:
            self.first_flow = node
        if len(self._open) >= MAX_DEPTH:
            self._fail(event, f"is nested deeper than {MAX_DEPTH} levels; make it flatter")
        if event.anchor:
            self._unfinished[id(node)] = event.anchor
        self._open.append(node)
        self._pending_keys.append(None)
        self._key_lines.append({})

    def _end(self) -> None:
        node = self._open.pop()
        self._pending_keys.pop()
        self._key_lines.pop()
        self._remember(self._unfinished.pop(id(node), None), node)
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.size > MAX_NODES:
            self._report.error(
                self._shown, f"holds more than {MAX_NODES} values, aliases written out; write fewer", line=node.line
            )
            raise _Stop
        if parent.kind == "list":
            parent.items.append(node)
            return
        key = self._pending_keys[-1]
        if key is None:
            self._pending_keys[-1] = self._key(node)
        else:
            parent.keys.append((key, node))
            self._pending_keys[-1] = None

    def _key(self, key: Node) -> Node:
        if key.kind != "scalar":
            self._report.error(self._shown, "a key must be plain text", line=key.line, column=key.column)
            return Node("scalar", key.line, key.column, text=f"<{key.kind}>")
        if key.plain and key.text == "<<":
            self._report.error(self._shown, "merge keys (<<) are not read; write the keys out", line=key.line)
        lines = self._key_lines[-1]
        if key.text in lines:
            self._report.error(
                self._shown,
                f"the key {key.text[:80]!r} comes twice: in line {lines[key.text]} and here; keep one",
                line=key.line,
                column=key.column,
            )
        lines.setdefault(key.text, key.line)
        return key

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            self._fail(event, f"*{event.anchor} names no value that is complete before it; write the value out")
        return self._anchors[event.anchor]

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor:
            self.first_anchor = self.first_anchor or node
            self._anchors[anchor] = node

    def _node(self, event: yaml.NodeEvent, kind: Literal["scalar", "list", "map"], **values: Any) -> Node:
        tag: str | None = getattr(event, "tag", None)
        line, column = self._place(event)
        if tag not in _STANDARD_TAGS:
            self._report.error(
                self._shown, f"the tag {tag!r} is not allowed; write a plain value", line=line, column=column
            )
        size = 1 + len(values.get("text", "")) // _CHARACTERS_PER_VALUE
        return Node(kind, line, column, size=size, **values)

    def _place(self, event: yaml.Event) -> tuple[int, int]:
        mark = event.start_mark
        return mark.line + self._first_line, mark.column + 1

    def _fail(self, event: yaml.Event, message: str) -> NoReturn:
        line, column = self._place(event)
        self._report.error(self._shown, message, line=line, column=column)
        raise _Stop


@dataclass(frozen=True, slots=True)
class Document:
    """A file's YAML.

    Attributes:
        root: The value; None for an empty text.
        first_flow: The first value written with `{}` or `[]`.
        first_anchor: The first value with an `&anchor`.
    """

    root: Node | None
    first_flow: Node | None
    first_anchor: Node | None


def parse_yaml(text: str, *, shown: str, report: Report, first_line: int = 1) -> Document | None:
    """Read one YAML document.

    Args:
        text: Without byte order mark.
        shown: The file's name for people.
        report: Gets every error.
        first_line: Number of the text's first line in its file.

    Returns:
        None when the text can't be read; errors such as a duplicate key still give a document.
    """
    builder = _Builder(shown=shown, report=report, first_line=first_line)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except _Stop:
        return None
    except (yaml.YAMLError, RecursionError) as error:
        _explain(error, text, shown=shown, report=report, first_line=first_line)
        return None
    return Document(builder.root, builder.first_flow, builder.first_anchor)


def _explain(error: Exception, text: str, *, shown: str, report: Report, first_line: int) -> None:
    """PyYAML's error with its place, and with what would do in the usual cases."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read")
    if mark is None:
        report.error(shown, f"is not YAML: {problem}", line=first_line)
        return
    lines = text.split("\n")
    content = lines[mark.line] if mark.line < len(lines) else ""
    report.error(
        shown, f"is not YAML: {problem}{_hint(content, problem)}", line=mark.line + first_line, column=mark.column + 1
    )


def _hint(content: str, problem: str) -> str:
    if content[: len(content) - len(content.lstrip())].count("\t") or "'\\t'" in problem:
        return "; a tab can't indent, use spaces"
    if "mapping values are not allowed" in problem:
        return "; put quotes around a value that holds ': '"
    if "cannot start any token" in problem:
        return "; put quotes around a value that begins with a special character"
    if "anchor" in problem or "alias" in problem:
        return "; put quotes around a value that begins with & or *"
    return ""
