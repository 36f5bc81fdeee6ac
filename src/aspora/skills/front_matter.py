"""Where a Markdown file's front matter begins and ends, and its YAML: strictly, or mended as imports need it."""

import json
import re
from dataclasses import dataclass

from aspora.skills.problems import Report
from aspora.skills.text_files import BOM
from aspora.skills.yaml_nodes import Document, parse_yaml

FENCE = "---"
_LOOSE_CLOSE = re.compile(r"(?:-{3,}|\.\.\.)\s*")
_BEFORE = re.compile(r"(?:\s|<!--.*?-->)*", re.DOTALL)
_KEY_LINE = re.compile(r"(?P<indent>[ \t]*(?:- +)?)(?P<key>[A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(?P<value>\S.*?))?[ \t]*")
_BLOCK = re.compile(r"[|>][-+0-9]*(?:\s+#.*)?")
_TROUBLE = re.compile(r":(?:\s|$)|\s#|^[-?]\s|^[\[\]{}!*&%@`\"',|>]")
_COMPLETE = re.compile(r"\"(?:[^\"\\]|\\.)*\"(?:\s+#.*)?|'(?:[^']|'')*'(?:\s+#.*)?|\[[^\]]*\]|\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A Markdown file in two parts.

    Attributes:
        document: The front matter; None when there is none or it can't be read.
        body: What follows it.
        body_line: Number of the body's first line.
    """

    document: Document | None
    body: str
    body_line: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """The text of both parts; `yaml` is None when there is no front matter."""

    yaml: str | None
    yaml_line: int
    body: str
    body_line: int


def read_front_matter(text: str, *, shown: str, strict: bool, report: Report) -> FrontMatter:
    """Split and parse; what is wrong goes to the report."""
    if text.startswith(BOM):
        report.object_to(strict, shown, "begins with a byte order mark; save it as UTF-8 without BOM", line=1)
        text = text[1:]
    parts = _split_strictly(text, shown, report) if strict else _split_loosely(text, shown, report)
    if parts.yaml is None:
        return FrontMatter(None, parts.body, parts.body_line)
    own = Report()
    document = parse_yaml(parts.yaml, shown=shown, report=own, first_line=parts.yaml_line)
    if document is None and not strict:
        document = _parse_mended(parts, own, shown=shown, report=report)
    report.errors += own.errors
    return FrontMatter(document, parts.body, parts.body_line)


def body_of(text: str) -> str:
    """A Markdown file's text after its front matter; the whole text when it has none."""
    return _split_loosely(text.removeprefix(BOM), "", Report()).body


def _split_strictly(text: str, shown: str, report: Report) -> _Parts:
    """By the rules of the standard's reference validator, which takes any `---` for the end."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        report.error(shown, "must begin with front matter: a line '---', name, description, a line '---'", line=1)
        return _Parts(None, 1, text, 1)
    close = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if close is None:
        report.error(shown, "has no line '---' that ends the front matter; add one after the last key", line=1)
        return _Parts(None, 1, "", len(lines))
    for i, line in enumerate(lines[1:close], 1):
        if FENCE in line:
            message = "'---' inside the front matter ends it for other readers; use other characters"
            report.error(shown, message, line=i + 1, column=line.index(FENCE) + 1)
    return _Parts("\n".join(lines[1:close]), 2, "\n".join(lines[close + 1 :]), close + 2)


def _split_loosely(text: str, shown: str, report: Report) -> _Parts:
    before = _BEFORE.match(text)
    skipped = before.end() if before else 0
    lines = text[skipped:].split("\n")
    first = text.count("\n", 0, skipped) + 1
    if not re.fullmatch(r"-{3,}\s*", lines[0]):
        report.warn(shown, "has no front matter; name and description are taken from folder and text", line=1)
        return _Parts(None, 1, text, 1)
    if first > 1:
        report.warn(shown, "the front matter does not begin in the first line; move it there", line=first)
    close = next((i for i, line in enumerate(lines[1:], 1) if _LOOSE_CLOSE.fullmatch(line)), None)
    resume = None if close is None else close + 1
    if close is None:
        close = resume = next((i for i, line in enumerate(lines[1:], 1) if re.match(r"#{1,6} ", line)), len(lines))
        report.warn(
            shown, f"the front matter is not closed; it is taken to end before line {first + close}", line=first
        )
    resume = resume if resume is not None else close
    return _Parts("\n".join(lines[1:close]), first + 1, "\n".join(lines[resume:]), first + resume)


def _parse_mended(parts: _Parts, own: Report, *, shown: str, report: Report) -> Document | None:
    """Try again with values in quotes; `own` keeps the first errors unless that helps."""
    mended, changed = mend(parts.yaml or "")
    if not changed:
        return None
    second = Report()
    document = parse_yaml(mended, shown=shown, report=second, first_line=parts.yaml_line)
    if document is None or second.errors:
        return None
    for line in changed:
        message = "is not YAML as it stands; it was read as if the value were in quotes"
        report.warn(shown, message, line=line + parts.yaml_line - 1)
    own.errors.clear()
    return document


def mend(text: str) -> tuple[str, list[int]]:
    """Put values in quotes that YAML would stumble over; lines keep their numbers.

    Returns:
        The new text and the numbers of the changed lines, from 1.
    """
    before = text.split("\n")
    lines = [_without_tabs(line) for line in before]
    i = 0
    while i < len(lines):
        match = _KEY_LINE.fullmatch(lines[i])
        value = match["value"] if match else None
        if match is None or value is None:
            i += 1
            continue
        end = _value_end(lines, i, indent=len(match["indent"]))
        if not _BLOCK.fullmatch(value) and not (_COMPLETE.fullmatch(value) and end == i + 1):
            whole = " ".join([value, *(line.strip() for line in lines[i + 1 : end] if line.strip())])
            if end > i + 1 or _TROUBLE.search(whole):
                quoted = json.dumps(_unquoted(whole), ensure_ascii=False)
                lines[i:end] = [f"{match['indent']}{match['key']}: {quoted}", *[""] * (end - i - 1)]
        i = end
    changed = [n for n, (old, new) in enumerate(zip(before, lines, strict=True), 1) if old != new and new]
    return "\n".join(lines), changed


def _unquoted(value: str) -> str:
    """Without the quotes around it, when it has a pair."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _without_tabs(line: str) -> str:
    content = line.lstrip(" \t")
    return line[: len(line) - len(content)].replace("\t", "  ") + content


def _value_end(lines: list[str], start: int, *, indent: int) -> int:
    """Index after the lines that belong to the value in line `start`.

    Those are the ones indented further than its key, and text that stands at the margin without being a key itself.
    """
    end = start + 1
    for i in range(start + 1, len(lines)):
        content = lines[i].lstrip()
        is_own = bool(_KEY_LINE.fullmatch(lines[i])) or content.startswith(("-", "#"))
        if content and len(lines[i]) - len(content) <= indent and is_own:
            break
        if content:
            end = i + 1
    return end
