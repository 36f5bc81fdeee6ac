"""SKILL.md by the Agent Skills standard: strictly for what is published, leniently for what is imported.

Source: the Agent Skills specification (agentskills.io) and the rules of its reference validator.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from aspora.meta.names import did_you_mean
from aspora.skills.front_matter import read_front_matter
from aspora.skills.problems import Report
from aspora.skills.yaml_nodes import Node, json_value

SKILL_MD = "SKILL.md"
FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
ASPORA_KEYS = ("aspora-role", "aspora-trigger")
MAX_NAME = 64
MAX_DESCRIPTION = 1024
MAX_COMPATIBILITY = 500
_KEPT_DESCRIPTION = 16_384
_KEPT_TEXT = 2_000
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TOOL = re.compile(r"(?:[^\s,()]|\([^()]*\))+")
_RESOLVER = yaml.resolver.Resolver()


@dataclass(frozen=True, slots=True)
class Said:
    """A setting that SKILL.md carries for Aspora, and where."""

    value: str
    line: int
    path: str


@dataclass(slots=True)
class SkillMdFile:
    """What a SKILL.md says.

    Attributes:
        facts: The `skillMd` of the Skill's spec, in wire form.
        body: The instructions.
        role: From `metadata.aspora-role`, or `role` on import.
        domain: From `domain` on import.
        triggers: From `metadata.aspora-trigger`, or `trigger` on import.
    """

    facts: dict[str, object] = field(default_factory=dict[str, object])
    body: str = ""
    role: Said | None = None
    domain: Said | None = None
    triggers: list[Said] = field(default_factory=list[Said])


def parse_skill_md(text: str, *, folder_name: str, shown: str, strict: bool, report: Report) -> SkillMdFile:
    """Read a SKILL.md; every problem goes to the report."""
    return _Reader(folder_name=folder_name, shown=shown, strict=strict, report=report).read(text)


class _Reader:
    """One reading of one file."""

    def __init__(self, *, folder_name: str, shown: str, strict: bool, report: Report) -> None:
        self._folder_name = folder_name
        self._shown = shown
        self._strict = strict
        self._report = report
        self._file = SkillMdFile()

    def read(self, text: str) -> SkillMdFile:
        errors_before = len(self._report.errors)
        front = read_front_matter(text, shown=self._shown, strict=self._strict, report=self._report)
        self._file.body = front.body.strip()
        root = front.document.root if front.document is not None else None
        if root is not None and root.kind != "map":
            self._object(root, "", "the front matter must be lines of 'key: value'")
            root = None
        if front.document is not None and self._strict:
            self._check_style(front.document.first_flow, "write lists and maps line by line, not with [] or {}")
            self._check_style(front.document.first_anchor, "anchors (&) are not allowed; write the value out")
        if root is None and (self._strict or len(self._report.errors) > errors_before):
            if len(self._report.errors) == errors_before:
                self._report.error(self._shown, "the front matter is empty; it needs name and description", line=1)
            return self._file
        self._read_map(root or Node("map", 1, 1))
        return self._file

    def _check_style(self, node: Node | None, message: str) -> None:
        if node is not None:
            self._report.error(self._shown, message, line=node.line, column=node.column)

    def _object(self, node: Node, path: str, message: str) -> None:
        self._report.object_to(self._strict, self._shown, message, line=node.line, column=node.column, path=path)

    def _read_map(self, root: Node) -> None:
        self._file.facts["name"] = self._name(root)
        self._file.facts["description"] = self._description(root)
        readers: dict[str, Callable[[Node], None]] = {
            "license": lambda node: self._keep_text("license", node, _KEPT_TEXT),
            "compatibility": lambda node: self._keep_text("compatibility", node, MAX_COMPATIBILITY),
            "metadata": self._metadata,
            "allowed-tools": self._allowed_tools,
        }
        for key, key_node, value in root.entries():
            if key in readers:
                readers[key](value)
            elif key not in FIELDS:
                self._unknown(key, key_node, value)

    def _unknown(self, key: str, key_node: Node, value: Node) -> None:
        """Other keys; three of them mean something when a skill is imported."""
        if not self._strict and key in {"domain", "role", "trigger", "triggers"}:
            self._import(key, value)
            return
        where = "; settings of Aspora go into aspora.config.yaml, other facts under metadata"
        known = did_you_mean(key, FIELDS) if self._strict else ""
        self._object(key_node, key, f"is not a field of the Agent Skills standard{known or where}")

    def _import(self, key: str, value: Node) -> None:
        if key == "domain" and value.kind == "scalar":
            self._file.domain = Said(value.text, value.line, key)
        elif key == "role" and value.kind == "scalar":
            self._file.role = Said(value.text, value.line, key)
        elif key.startswith("trigger"):
            items = value.items if value.kind == "list" else [value]
            self._file.triggers += [Said(i.text, i.line, key) for i in items if i.kind == "scalar" and i.text.strip()]

    def _text(self, path: str, node: Node) -> str | None:
        """A text value; None when it is missing. A value of another sort is an error, or is turned into text."""
        if node.is_null:
            return None
        if node.kind != "scalar":
            self._object(node, path, f"must be text, not a {node.kind}")
            return " ".join(str(v) for v in _flat(json_value(node)))
        if node.plain and self._strict and (sort := implicit_sort(node.text)):
            self._object(node, path, f"{node.text!r} is a {sort} to YAML; put it in quotes")
        return node.text.strip()

    def _name(self, root: Node) -> str:
        node = root.get("name")
        name = self._text("name", node) if node is not None else None
        if node is None or not name:
            self._object(node or root, "name", "is required: the folder's name")
            return self._folder_name
        if len(name) > MAX_NAME:
            self._object(node, "name", f"has {len(name)} characters; at most {MAX_NAME}")
        elif not _NAME.fullmatch(name):
            self._object(node, "name", f"{name!r} must be lower-case letters and digits, joined by single '-'")
        if name != self._folder_name:
            message = f"{name!r} must equal the folder's name {self._folder_name!r}; rename one of them"
            self._object(node, "name", message)
        return name[:256]

    def _description(self, root: Node) -> str:
        node = root.get("description")
        text = self._text("description", node) if node is not None else None
        if node is None or not text:
            return self._description_from_body(node or root)
        if len(text) > MAX_DESCRIPTION:
            self._object(node, "description", f"has {len(text)} characters; at most {MAX_DESCRIPTION}")
        return text[:_KEPT_DESCRIPTION]

    def _description_from_body(self, node: Node) -> str:
        message = "is required: what the skill does and when to use it"
        found = first_paragraph(self._file.body)
        if self._strict or not found:
            self._report.error(self._shown, message, line=node.line, column=node.column, path="description")
            return ""
        self._report.warn(self._shown, f"{message}; the first paragraph stands in", line=node.line, path="description")
        return found[:MAX_DESCRIPTION]

    def _keep_text(self, key: str, node: Node, limit: int) -> None:
        text = self._text(key, node)
        if text is None:
            return
        if len(text) > limit:
            self._object(node, key, f"has {len(text)} characters; at most {limit}")
        if text:
            self._file.facts[key] = text[:_KEPT_TEXT]

    def _metadata(self, node: Node) -> None:
        if node.is_null:
            return
        if node.kind != "map":
            self._object(node, "metadata", f"must be a map of text to text, not a {node.kind}")
            return
        kept: dict[str, str] = {}
        for key, key_node, value in node.entries():
            path = f"metadata.{key}"
            text = self._metadata_text(path, value)
            kept[key] = text
            if key.startswith("aspora-"):
                self._aspora_key(key, key_node, text)
        self._file.facts["metadata"] = kept

    def _metadata_text(self, path: str, value: Node) -> str:
        if value.kind == "scalar":
            return self._text(path, value) or ""
        self._object(value, path, f"must be text, not a {value.kind}; put it in quotes or in a file")
        return json.dumps(json_value(value), ensure_ascii=False)

    def _aspora_key(self, key: str, node: Node, text: str) -> None:
        said = Said(text, node.line, f"metadata.{key}")
        if key == "aspora-role":
            self._file.role = said
        elif key == "aspora-trigger" and text:
            self._file.triggers.append(said)
        elif key not in ASPORA_KEYS:
            self._object(node, said.path, f"unknown key{did_you_mean(key, ASPORA_KEYS)}")

    def _allowed_tools(self, node: Node) -> None:
        if node.is_null:
            return
        if node.kind == "list":
            self._object(node, "allowed-tools", "must be one text with spaces between the tools, not a list")
            tools = [t for item in node.items for t in _TOOL.findall(" ".join(map(str, _flat(json_value(item)))))]
        else:
            text = self._text("allowed-tools", node) or ""
            if "," in re.sub(r"\([^()]*\)", "", text):
                self._object(node, "allowed-tools", "must have spaces between the tools, not commas")
            tools = _TOOL.findall(text)
        self._file.facts["allowedTools"] = tools[:200]


def first_paragraph(body: str) -> str:
    """The first paragraph of Markdown text as one line, else the first heading's text; "" when there is neither."""
    blocks = [b.strip() for b in re.split(r"\n\s*\n", body) if b.strip()]
    texts = ["\n".join(line for line in b.split("\n") if not line.startswith("#")).strip() for b in blocks]
    found = next((t for t in texts if t and not t.startswith(("```", "|", "---", "<"))), None)
    if found is None:
        found = next((b.lstrip("#").strip() for b in blocks), "")
    return " ".join(found.split())


def _flat(value: object) -> list[object]:
    """The scalars in a JSON value, in order."""
    if isinstance(value, dict):
        return [x for k, v in value.items() for x in (f"{k}:", *_flat(v))]  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        return [x for v in value for x in _flat(v)]  # pyright: ignore[reportUnknownArgumentType]
    return [value]


def implicit_sort(text: str) -> str:
    """What a YAML 1.1 reader makes of a plain scalar (`int`, `bool`, `timestamp` …); "" when it stays text."""
    tag = str(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)))
    sort = tag.rpartition(":")[2]
    return "" if sort == "str" else sort
