"""SKILL.md in every form that real files take: what strict refuses, what lenient reads, and with which words."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from aspora.skills.problems import Report
from aspora.skills.skill_md import SkillMdFile, first_paragraph, implicit_sort, parse_skill_md


def parse(text: str, *, strict: bool, name: str = "toy") -> tuple[SkillMdFile, list[str], list[str]]:
    report = Report()
    file = parse_skill_md(text, folder_name=name, shown="SKILL.md", strict=strict, report=report)
    return file, [str(e) for e in report.errors], [str(w) for w in report.warnings]


@dataclass(frozen=True)
class Variant:
    """One way to write a SKILL.md.

    Attributes:
        strict: A part of the strict loader's error; "" when it takes the file.
        lenient: A part of the lenient loader's error; "" when it reads the file.
        facts: What the lenient loader must find.
        warns: A part of a warning of the lenient loader; "" when it has none.
    """

    text: str
    strict: str = ""
    lenient: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    warns: str = ""


def front(*lines: str, body: str = "Do it.") -> str:
    return "\n".join(["---", *lines, "---", "", body, ""])


def toy(*lines: str) -> str:
    return front("name: toy", "description: A toy.", *lines)


LONG = "word " * 210
VARIANTS = {
    "minimal": Variant(toy(), facts={"name": "toy", "description": "A toy."}),
    "all six fields": Variant(
        toy(
            "license: Apache-2.0",
            "compatibility: Needs Python 3.11",
            "metadata:",
            '  version: "1.0"',
            "  author: somebody",
            "allowed-tools: Read Bash(git add:*) Grep",
        ),
        facts={
            "license": "Apache-2.0",
            "compatibility": "Needs Python 3.11",
            "metadata": {"version": "1.0", "author": "somebody"},
            "allowedTools": ["Read", "Bash(git add:*)", "Grep"],
        },
    ),
    "folded description": Variant(
        front("name: toy", "description: >-", "  One line", "  and another."),
        facts={"description": "One line and another."},
    ),
    "literal description with a colon": Variant(
        front("name: toy", "description: |", "  Use: always"), facts={"description": "Use: always"}
    ),
    "quoted description with a colon": Variant(front("name: toy", 'description: "Use: always"')),
    "windows line ends": Variant(toy().replace("\n", "\r\n"), facts={"name": "toy"}),
    "comments": Variant(toy("# a comment"), facts={"name": "toy"}),
    "blank after the fences": Variant("---  \nname: toy\ndescription: A toy.\n---\t\nBody", facts={"name": "toy"}),
    # flow style
    "flow metadata": Variant(toy("metadata: {a: b}"), strict="not with [] or {}", facts={"metadata": {"a": "b"}}),
    "flow tools": Variant(
        toy("allowed-tools: [Read, Write]"),
        strict="not with [] or {}",
        facts={"allowedTools": ["Read", "Write"]},
        warns="not a list",
    ),
    "anchors": Variant(
        toy("metadata:", "  a: &x b", "  c: *x"), strict="anchors", facts={"metadata": {"a": "b", "c": "b"}}
    ),
    # names
    "name of another folder": Variant(
        front("name: other", "description: A toy."), strict="must equal the folder's name 'toy'", warns="must equal"
    ),
    "name in capitals": Variant(front("name: Toy", "description: A toy."), strict="lower-case", warns="lower-case"),
    "name with blanks": Variant(front("name: My Toy", "description: A toy."), strict="lower-case", warns="lower-case"),
    "name with underscores": Variant(front("name: my_toy", "description: A toy."), strict="lower-case", warns="lower"),
    "name with double hyphen": Variant(front("name: my--toy", "description: A."), strict="single '-'", warns="single"),
    "name with an end hyphen": Variant(front("name: toy-", "description: A."), strict="single '-'", warns="single '-'"),
    "name too long": Variant(front(f"name: {'a' * 65}", "description: A."), strict="65 characters", warns="65 char"),
    "no name": Variant(
        front("description: A toy."), strict="name: is required", facts={"name": "toy"}, warns="required"
    ),
    "empty name": Variant(front("name:", "description: A."), strict="name: is required", warns="is required"),
    "numeric name": Variant(front("name: 123", "description: A."), strict="is a int to YAML", warns="must equal"),
    # descriptions
    "no description": Variant(
        front("name: toy", body="# Toy\n\nIt plays\nall day.\n\nMore."),
        strict="description: is required",
        facts={"description": "It plays all day."},
        warns="the first paragraph stands in",
    ),
    "empty description": Variant(
        front("name: toy", "description: ''"), strict="is required", facts={"description": "Do it."}, warns="stands in"
    ),
    "no description and no text": Variant(
        front("name: toy", body=""), strict="description: is required", lenient="description: is required"
    ),
    "description over 1024": Variant(
        front("name: toy", f"description: {LONG}"), strict="at most 1024", warns="at most 1024"
    ),
    "description with a colon": Variant(
        front("name: toy", "description: Use when: always, and # never"),
        strict="put quotes around a value that holds ': '",
        facts={"description": "Use when: always, and # never"},
        warns="read as if the value were in quotes",
    ),
    "description over lines with a colon": Variant(
        front("name: toy", "description: Use when", "  asked: always"),
        strict="is not YAML",
        facts={"description": "Use when asked: always"},
        warns="in quotes",
    ),
    "description that goes on at the margin": Variant(
        front("description: Use when", "asked for it.", "name: toy"),
        strict="is not YAML",
        facts={"name": "toy", "description": "Use when asked for it."},
        warns="in quotes",
    ),
    "hint with brackets and more": Variant(
        toy("argument-hint: [a|b] <path> [--output <path>]"),
        strict="is not YAML",
        facts={"name": "toy"},
        warns="argument-hint",
    ),
    "tools as a list over lines": Variant(
        toy("allowed-tools:", '  ["Read",', '   "Write"]'),
        strict="not with [] or {}",
        facts={"allowedTools": ["Read", "Write"]},
        warns="not a list",
    ),
    "description that begins with @": Variant(
        front("name: toy", "description: @mention it"),
        strict="special character",
        facts={"description": "@mention it"},
        warns="in quotes",
    ),
    "description that begins with a backtick": Variant(
        front("name: toy", "description: `x` is run"),
        strict="special",
        facts={"description": "`x` is run"},
        warns="quotes",
    ),
    "description that begins with *": Variant(
        front("name: toy", "description: **Bold** claim"),
        strict="SKILL.md:3",
        facts={"description": "**Bold** claim"},
        warns="in quotes",
    ),
    "quoted part in front": Variant(
        front("name: toy", 'description: "Quoted" and more'),
        strict="is not YAML",
        facts={"description": '"Quoted" and more'},
        warns="in quotes",
    ),
    "description as a list": Variant(
        front("name: toy", "description:", "  - One.", "  - Two."),
        strict="must be text, not a list",
        facts={"description": "One. Two."},
        warns="must be text",
    ),
    "three hyphens inside a value": Variant(
        front("name: toy", "description: Before --- after"),
        strict="'---' inside the front matter ends it",
        facts={"description": "Before --- after"},
    ),
    # other fields
    "unknown keys": Variant(
        toy("version: 1.0.0", "tags:", "  - a", "author: me"),
        strict="version: is not a field of the Agent Skills standard",
        warns="version: is not a field",
    ),
    "misspelt field": Variant(toy("licence: MIT"), strict="did you mean 'license'?", warns="licence"),
    "keys of another agent": Variant(
        toy("model: sonnet", "argument-hint: [file] [mode]", "disable-model-invocation: true"),
        strict="SKILL.md:5",
        facts={"name": "toy"},
        warns="argument-hint",
    ),
    "nested unknown key that is no YAML": Variant(
        toy("hooks:", "  - matcher: a: b", "    command: run"),
        strict="is not YAML",
        facts={"name": "toy"},
        warns="hooks",
    ),
    "tools as a list": Variant(
        toy("allowed-tools:", "  - Read", "  - Bash(npm run test:*)"),
        strict="must be one text with spaces",
        facts={"allowedTools": ["Read", "Bash(npm run test:*)"]},
        warns="list",
    ),
    "tools with commas": Variant(
        toy("allowed-tools: Read, Write"),
        strict="not commas",
        facts={"allowedTools": ["Read", "Write"]},
        warns="commas",
    ),
    "metadata that YAML reads as a number": Variant(
        toy("metadata:", "  version: 1.0"),
        strict="'1.0' is a float to YAML; put it in quotes",
        facts={"metadata": {"version": "1.0"}},
    ),
    "metadata that YAML reads as a date": Variant(
        toy("metadata:", "  updated: 2026-01-31"),
        strict="is a timestamp to YAML",
        facts={"metadata": {"updated": "2026-01-31"}},
    ),
    "metadata that YAML reads as a bool": Variant(
        toy("metadata:", "  draft: no"), strict="is a bool to YAML", facts={"metadata": {"draft": "no"}}
    ),
    "metadata with a list": Variant(
        toy("metadata:", "  tags:", "    - a", "    - b"),
        strict="metadata.tags: must be text, not a list",
        facts={"metadata": {"tags": '["a", "b"]'}},
        warns="must be text",
    ),
    "metadata that is text": Variant(
        toy("metadata: x"), strict="must be a map", facts={"name": "toy"}, warns="must be a map"
    ),
    "compatibility over 500": Variant(toy(f"compatibility: {'x' * 501}"), strict="at most 500", warns="at most 500"),
    "duplicate keys": Variant(
        toy("name: toy"), strict="comes twice: in line 2 and here", lenient="comes twice: in line 2 and here"
    ),
    # the frame
    "byte order mark": Variant(
        "\ufeff" + toy(), strict="byte order mark", facts={"name": "toy"}, warns="byte order mark"
    ),
    "no front matter": Variant(
        "# Toy\n\nIt plays.\n",
        strict="must begin with front matter",
        facts={"name": "toy", "description": "It plays."},
        warns="has no front matter",
    ),
    "blank lines before it": Variant("\n\n" + toy(), strict="must begin", facts={"name": "toy"}, warns="first line"),
    "a comment before it": Variant(
        "<!-- hi -->\n" + toy(), strict="must begin", facts={"name": "toy"}, warns="first line"
    ),
    "not closed": Variant(
        "---\nname: toy\ndescription: A toy.\n\n# Toy\n\nDo it.\n",
        strict="no line '---' that ends",
        facts={"description": "A toy."},
        warns="not closed",
    ),
    "closed by dots": Variant(
        "---\nname: toy\ndescription: A toy.\n...\nDo it.\n", strict="no line '---'", facts={"name": "toy"}
    ),
    "closed by more hyphens": Variant(
        "---\nname: toy\ndescription: A toy.\n-----\nDo it.\n", strict="SKILL.md:1", facts={"description": "A toy."}
    ),
    "empty front matter": Variant(
        "---\n---\n\nIt plays.\n",
        strict="the front matter is empty",
        facts={"description": "It plays."},
        warns="required",
    ),
    "front matter that is a list": Variant(
        "---\n- a\n---\nIt plays.\n", strict="'key: value'", facts={"name": "toy"}, warns="key"
    ),
    "tabs": Variant(
        toy("metadata:", "\ta: b"), strict="a tab can't indent", facts={"metadata": {"a": "b"}}, warns="in quotes"
    ),
    "empty file": Variant("", strict="must begin with front matter", lenient="description: is required"),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_strict(variant: Variant) -> None:
    _, errors, _ = parse(variant.text, strict=True)
    if variant.strict:
        assert any(variant.strict in error for error in errors), errors
        assert all(error.startswith("SKILL.md:") for error in errors), errors
    else:
        assert not errors


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_lenient(variant: Variant) -> None:
    file, errors, warnings = parse(variant.text, strict=False)
    if variant.lenient:
        assert any(variant.lenient in error for error in errors), errors
        return
    assert not errors
    assert {key: file.facts.get(key) for key in variant.facts} == variant.facts
    assert any(variant.warns in warning for warning in warnings) == bool(variant.warns), warnings


def test_what_is_measured_is_broad() -> None:
    """The set holds each breakage seen in public files; leniently nearly all of it loads."""
    read = sum(not v.lenient for v in VARIANTS.values())
    assert len(VARIANTS) >= 50
    assert read == len(VARIANTS) - 3


def test_whatever_strict_takes_lenient_takes_alike() -> None:
    for variant in VARIANTS.values():
        if not variant.strict:
            assert parse(variant.text, strict=True)[0].facts == parse(variant.text, strict=False)[0].facts


def test_all_problems_at_once_with_line_and_column() -> None:
    text = front("name: Toy", "description: ''", "licence: MIT", "metadata:", "  n: 1", "allowed-tools: a, b")
    _, errors, _ = parse(text, strict=True)
    assert [e.split(": ")[0] for e in sorted(errors)] == [
        "SKILL.md:2:7", "SKILL.md:2:7", "SKILL.md:3:14", "SKILL.md:4:1", "SKILL.md:6:6", "SKILL.md:7:16",
    ]  # fmt: skip


def test_asporas_own_keys_in_metadata() -> None:
    text = toy("metadata:", "  aspora-role: field", '  aspora-trigger: "where is my order"')
    file, errors, _ = parse(text, strict=True)
    assert not errors
    assert file.role is not None
    assert (file.role.value, file.role.line) == ("field", 5)
    assert [t.value for t in file.triggers] == ["where is my order"]


def test_an_unknown_key_of_aspora_is_told_with_the_nearest() -> None:
    _, errors, _ = parse(toy("metadata:", "  aspora-roll: field"), strict=True)
    assert any("did you mean 'aspora-role'?" in e for e in errors), errors


def test_domain_role_and_trigger_are_taken_on_import() -> None:
    text = toy("domain: ecm", "role: manager", "trigger:", "  - one", "  - two")
    file, errors, warnings = parse(text, strict=False)
    assert not errors
    assert not warnings
    assert file.domain is not None
    assert file.role is not None
    assert (file.domain.value, file.role.value) == ("ecm", "manager")
    assert [t.value for t in file.triggers] == ["one", "two"]


def test_the_body_keeps_its_own_rules() -> None:
    file, _, _ = parse(toy() + "\n---\n\nname: not this\n", strict=True)
    assert file.body.endswith("name: not this")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("# Title\n\nFirst\nparagraph.\n\nSecond.", "First paragraph."),
        ("# Title\nText below it.", "Text below it."),
        ("# Only a title", "Only a title"),
        ("```\ncode\n```\n\nText.", "Text."),
        ("", ""),
    ],
)
def test_first_paragraph(body: str, expected: str) -> None:
    assert first_paragraph(body) == expected


@pytest.mark.parametrize(
    ("text", "sort"),
    [("a", ""), ("1.0", "float"), ("no", "bool"), ("2026-01-31", "timestamp"), ("~", "null"), ("1", "int")],
)
def test_implicit_sorts(text: str, sort: str) -> None:
    assert implicit_sort(text) == sort
