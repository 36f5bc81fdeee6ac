"""Write the reference pages from the code, or with `--check` tell which of them are not current.

Whatever a page says stands in the code: kinds and fields in `aspora.apis`, settings in `aspora.main.settings`, verbs in
`aspora.cli`, errors in `aspora.meta.errors`.
"""

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tools.messages import collect, exceptions, modules, reaches

from aspora.apis.builtins import BUILTINS, load_kinds
from aspora.apis.fields import FieldDoc, explain
from aspora.apis.kind import Kind
from aspora.cli import exit_codes
from aspora.cli.app import build_parser
from aspora.cli.builtins import GROUPS, VERBS
from aspora.main.settings import Settings, env_name
from aspora.meta.errors import BY_REASON, Invalid
from aspora.models import failures as model_failures
from aspora.sandbox import interface as sandbox_interface
from aspora.skills.config_keys import KeyDoc, domain_key_docs, skill_key_docs

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Made by tools/generate_docs.py from the code; edit the code, then run `make docs`. -->"

KINDS_INTRO = """\
Every object has `apiVersion: aspora.dev/v1`, `kind`, `metadata`, `spec` and `status`. `aspora explain KIND.PATH` prints
the same of a running server, kinds of other packages included. A field marked **Inactive** is checked and stored, does
nothing yet, and draws a warning when it is set."""
SETTINGS_INTRO = """\
Settings come from the environment and are read once; an unknown `ASPORA_…` variable is refused. `aspora config` prints
the values in force and where each comes from. `--data-dir` and `--url` win over their variables."""

MESSAGES_INTRO = """\
Every text by which Aspora says that something is wrong, as it stands in the code: `{name}` is a value put in,
`'{name}'` one that is shown in quotes, `{did_you_mean}` the nearest known name or all of them. A reason comes with its
HTTP status; [errors.md](errors.md) explains the reasons. Whatever passes on another's text is not listed twice."""


def cell(text: str) -> str:
    """Text for a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield f"| {' | '.join(headings)} |"
    yield f"| {' | '.join('---' for _ in headings)} |"
    for row in rows:
        yield f"| {' | '.join(cell(c) for c in row)} |"
    yield ""


def code(text: str) -> str:
    """Text as code, or nothing."""
    return f"`{text}`" if text else ""


def value_text(value: Any) -> str:
    """A JSON value as code; nothing for None."""
    return "" if value is None else code(json.dumps(value, ensure_ascii=False))


def summary_of(documented: Any) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(documented) or "").split("\n\n", maxsplit=1)[0]


# Kinds


def field_rows(kind: Kind, path: str) -> Iterator[tuple[str, ...]]:
    """The fields below a path, deepest last."""
    for field in explain(kind, path)[1]:
        yield _field_row(field)
        if field.has_fields:
            yield from field_rows(kind, field.path)


def _field_row(field: FieldDoc) -> tuple[str, ...]:
    default = "required" if field.required else value_text(None if field.has_fields else field.default)
    limits = f" ({', '.join(field.limits)})" if field.limits else ""
    inactive = f" **Inactive**: {field.inactive}." if field.inactive else ""
    return code(field.path), field.type + limits, default, field.description + inactive


def kinds_page() -> Iterator[str]:
    """Every kind with every field, and the keys of the files that authors write."""
    yield "# Kinds"
    yield ""
    yield KINDS_INTRO
    yield ""
    for name in BUILTINS:
        kind = load_kinds().load(name)
        short = f", short {', '.join(map(code, kind.short_names))}" if kind.short_names else ""
        yield f"## {name}"
        yield ""
        yield summary_of(kind.spec)
        yield ""
        yield f"Scope: {kind.scope.value}. In paths: {code(kind.plural)}{short}."
        yield ""
        yield from table(("field", "type", "default", "meaning"), field_rows(kind, "spec"))
        yield from table(("status", "type", "default", "meaning"), field_rows(kind, "status"))
    yield from _keys("aspora.config.yaml", "What a skill's author writes", skill_key_docs())
    yield from _keys("domain.yaml", "What a domain's author writes", domain_key_docs())


def _keys(file: str, title: str, docs: Iterable[KeyDoc]) -> Iterator[str]:
    yield f"## {title}: `{file}`"
    yield ""
    rows = ((code(d.key), f"{d.form}, as {code(d.example)}", code(d.field.path), d.field.description) for d in docs)
    yield from table(("key", "written as", "sets", "meaning"), rows)


# Settings


def settings_page() -> Iterator[str]:
    """Every variable."""
    yield "# Settings"
    yield ""
    yield SETTINGS_INTRO
    yield ""
    rows = (
        (
            code(env_name(f)),
            "depends on the user" if f.name == "data_dir" else value_text(f.default) if f.default != "" else "",
            str(f.metadata["doc"]) + (" Secret: never printed." if f.metadata["secret"] else ""),
        )
        for f in fields(Settings)
    )
    yield from table(("variable", "default", "meaning"), rows)


# Command line


def cli_page() -> Iterator[str]:
    """Every verb with its words, options and examples, and the exit codes."""
    yield "# Command line"
    yield ""
    yield "`aspora VERB [ARGUMENTS]`; `aspora VERB --help` prints what stands here."
    yield ""
    parser = build_parser("version")
    yield "Options of every verb:"
    yield ""
    yield from table(("option", "meaning"), (_action_row(a) for a in _actions(parser) if a.dest in {"data_dir", "url"}))
    for title, names in GROUPS.items():
        yield f"## {title}"
        yield ""
        for name in names:
            yield from _verb(name)
    yield "## Exit codes"
    yield ""
    yield from table(("code", "meaning"), ((str(c), meaning) for c, meaning in exit_codes.MEANINGS.items()))


def _verb(name: str) -> Iterator[str]:
    parser = build_parser(name)
    yield f"### aspora {name}"
    yield ""
    yield f"{VERBS[name].summary[:1].upper()}{VERBS[name].summary[1:]}."
    yield ""
    rows = [_action_row(a) for a in _actions(parser) if a.dest not in {"data_dir", "url", "what"} or a.choices]
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):
            rows = []
            for word, sub in action.choices.items():
                rows += [(f"{code(word)} {option}", text) for option, text in map(_action_row, _actions(sub))]
    if rows:
        yield from table(("word or option", "meaning"), rows)
    yield "```"
    yield (parser.epilog or "").partition("\n")[2].rstrip()
    yield "```"
    yield ""


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [a for a in parser._actions if a.help != argparse.SUPPRESS and a.dest != "help"]


def _action_row(action: argparse.Action) -> tuple[str, str]:
    """As people type it, and what it does."""
    word = action.metavar if isinstance(action.metavar, str) else action.dest
    choices = f" (one of {', '.join(map(str, action.choices))})" if action.choices else ""
    if not action.option_strings:
        shown = code(word)
    else:
        value = "" if action.nargs == 0 else f" {word.upper() if not isinstance(action.metavar, str) else word}"
        shown = ", ".join(code(f"{option}{value}") for option in action.option_strings)
    return shown, f"{action.help or ''}{choices}"


# Errors


def errors_page() -> Iterator[str]:
    """Every error of the API, its shape, and the reasons of failed executions."""
    yield "# Errors"
    yield ""
    yield "Every error of the API has one shape; its message says what happened, to which thing, and what would do:"
    yield ""
    yield "```json"
    example = Invalid("Route 'x' has 1 problem: spec.traffic: …").to_status()
    yield json.dumps(example, indent=2, ensure_ascii=False)
    yield "```"
    yield ""
    rows = sorted(BY_REASON.values(), key=lambda cls: (cls.code, cls.reason))
    yield from table(("reason", "HTTP status", "meaning"), ((code(c.reason), str(c.code), summary_of(c)) for c in rows))
    yield "## Why an execution failed"
    yield ""
    yield "`status.reason` of a Failed execution. What a handler did:"
    yield ""
    yield from table(("reason", "meaning"), ((code(k), v) for k, v in _enum_docs(sandbox_interface, "FailureReason")))
    yield "What became of its model calls:"
    yield ""
    named = [
        c for _, c in inspect.getmembers(model_failures, inspect.isclass) if c.__module__ == model_failures.__name__
    ]
    yield from table(("reason", "meaning"), ((code(c.__name__), summary_of(c)) for c in named))


def _enum_docs(module: Any, name: str) -> Iterator[tuple[str, str]]:
    """Each member's value and the docstring below it."""
    tree = ast.parse(inspect.getsource(module))
    found = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name)
    for member, doc in zip(found.body, found.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(doc, ast.Expr):
            yield ast.literal_eval(member.value), ast.literal_eval(doc.value)


# Messages


def messages_page() -> Iterator[str]:
    """Every text that says that something is wrong, by area."""
    found, reasons = collect(), exceptions(modules())
    yield "# Messages"
    yield ""
    yield MESSAGES_INTRO
    yield ""
    for area in dict.fromkeys(m.area for m in found):
        yield f"## {area}"
        yield ""
        rows = {(reaches(m.kind, reasons), code(m.at), one_line(m.text)) for m in found if m.area == area}
        yield from table(("reaches people as", "field", "text"), sorted(rows))


def one_line(text: str) -> str:
    """A text as it stands in a table, with nothing that Markdown would read."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", text.replace("\n", " ⏎ "))


PAGE_MAKERS = {
    "kinds": kinds_page,
    "settings": settings_page,
    "cli": cli_page,
    "errors": errors_page,
    "messages": messages_page,
}


def pages() -> Mapping[Path, str]:
    """Every page's path and what it must hold."""
    return {PAGES / f"{name}.md": "\n".join([NOTE, "", *make()]).rstrip() + "\n" for name, make in PAGE_MAKERS.items()}


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is not current")
    check = parser.parse_args().check
    stale = [p for p, text in pages().items() if not p.exists() or p.read_text("utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], "utf-8")
        print(f"{'not current' if check else 'written'}: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
