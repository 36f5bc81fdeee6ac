"""Every text by which Aspora tells a person that something is wrong, read from the code."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.message_texts import Function, Module, Scope, arguments, texts

from aspora.meta.errors import BY_REASON

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "aspora"

MESSAGE_AT: Mapping[str, int] = {
    "FieldError": 1,
    "ExecutionFailed": 1,
    "WireViolation": 1,
    "UpstreamFault": 1,
    "Failure": 1,
    "WrongForm": 1,
    "Problem": 4,
    "RunFailed": 1,
}
"""Which argument is the message, where it is not the first."""

BUILTIN = {"ValueError", "RuntimeError", "ArgumentTypeError"}
"""Exceptions of Python's own that are raised with texts for people."""

CARRIERS = {"FieldError", "Problem", "Failure"}
"""What holds a message and is no exception."""

UNSEEN = {"Superseded", "_NeverBegan", "_HeadTooLarge", "_Stop", "AssertionError"}
"""Exceptions that carry a fact from one part of a process to another and are caught there."""

PRINTERS = {"out": 0, "printer": 0, "report": 1, "_report": 1}
"""Whose method `error` tells people something, and which argument is the text."""


_WORDLESS = re.compile(r"(\{[^{}]*\}[:; ]*)+")
"""Another's text, handed on."""
_EMPTY_PART = re.compile(r": *(;|$)(?!\n)")
"""A variant that the code never makes: a part that may be empty is left out with what leads to it."""


PLACES: Mapping[str, set[str]] = {
    "a field": {"FieldError"},
    "a file": {"Problem", "Report", "WrongForm", "DatasetError"},
    "the command line": {"printed", "ArgumentTypeError"},
    "an execution": {"ExecutionFailed", "Failure", "RunFailed", "WireViolation", "SlotLost", "UnfitArtifact"}
    | {
        "ModelNotConfigured",
        "ModelRejected",
        "ModelTimedOut",
        "ModelUnavailable",
        "LedgerUnavailable",
        "RateLimited",
        "UpstreamFault",
        "Malformed",
    },
    "a model, as the answer of a tool": {"ToolRefused", "UnsupportedSchema"},
    "the command line, or a field": {"ValueError", "SettingsError", "_Unshown", "_Unkeepable", "UnknownExtension"}
    | {"ExpressionInvalid"},
    "a log": {"RuntimeError", "ChildFailed", "HelperStuck", "LeaseLost", "QueryError", "ErrorInBody", "SpawnRefused"},
}
"""Where a text without a reason is met, and the classes that bring it there."""


@dataclass(frozen=True, order=True)
class Message:
    """One text.

    Attributes:
        area: The package, e.g. `gateway/objects`.
        kind: The class that carries it, or `Report` for a problem of a file, `printed` for the command line's own.
        at: The field's path, where there is one.
        text: With `{name}` for each value.
        path: The source file below `src/aspora`.
        raised_from: Type of the exception that is being handled there, where its own text is put in unchanged.
    """

    area: str
    kind: str
    at: str
    text: str
    path: str
    raised_from: str = ""


@dataclass(frozen=True)
class _Site:
    message: ast.expr
    kind: str
    at: ast.expr | None
    scope: Scope
    raised_from: str


def modules() -> Mapping[str, Module]:
    """Every module that is shipped for people to run, by its path without suffix."""
    found = [p.relative_to(SOURCE) for p in sorted(SOURCE.rglob("*.py")) if "testing" not in p.parts]
    return {p.with_suffix("").as_posix(): Module(p, ast.parse((SOURCE / p).read_text("utf-8"))) for p in found}


def exceptions(package: Mapping[str, Module]) -> Mapping[str, str]:
    """Every exception class and the reason it has on the wire, "" for none."""
    bases = {
        node.name: [ast.unparse(b).rpartition(".")[2] for b in node.bases]
        for module in package.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }

    def reason(name: str) -> str | None:
        if name in BY_REASON:
            return name
        if name not in bases:
            return "" if name.endswith(("Error", "Exception")) else None
        return next((found for base in bases[name] if (found := reason(base)) is not None), None)

    known = {name: reason(name) for name in (*bases, *BUILTIN)}
    return {name: found for name, found in known.items() if found is not None and name not in UNSEEN | CARRIERS}


def _own_words(package: Mapping[str, Module]) -> Iterator[str]:
    """Exceptions that make their text themselves of what they are given."""
    for module in package.values():
        for node in (n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)):
            made = [c for c in ast.walk(node) if isinstance(c, ast.Call) and ast.unparse(c.func) == "super().__init__"]
            if any(isinstance(c.args[0], ast.JoinedStr | ast.BinOp) for c in made if c.args):
                yield node.name


def collect() -> Sequence[Message]:
    """All of them, sorted, each once."""
    package = modules()
    speakers = set(_own_words(package)) & set(exceptions(package))
    kinds = (set(exceptions(package)) | CARRIERS) - speakers
    sites = [s for module in package.values() for s in _Finder(module, package, kinds, speakers).found]
    return sorted({m for site in sites for m in _messages(site, package)})


class _Finder(ast.NodeVisitor):
    """The sites of one module."""

    def __init__(self, module: Module, package: Mapping[str, Module], kinds: set[str], speakers: set[str]) -> None:
        self._module, self._package, self._kinds, self._speakers = module, package, kinds, speakers
        self._functions: list[Function] = []
        self._classes: list[str] = []
        self._handled: list[tuple[str, str]] = []
        self.found: list[_Site] = []
        self.visit(module.tree)

    def visit_FunctionDef(self, node: Function) -> None:
        self._functions.append(node)
        self.generic_visit(node)
        self._functions.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._handled.append((node.name or "", ast.unparse(node.type) if node.type else "Exception"))
        self.generic_visit(node)
        self._handled.pop()

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        kind, position = self._carries(node.func)
        if not kind:
            return
        named = {k.arg: k.value for k in node.keywords}
        message = named.get("message") or (node.args[position] if len(node.args) > position else None)
        if message is None or any(isinstance(a, ast.Starred) for a in node.args[: position + 1]):
            return
        at = node.args[0] if kind == "FieldError" else node.args[3] if kind == "Problem" else named.get("path")
        scope = Scope(self._module, self._functions[-1] if self._functions else None, self._package)
        self.found.append(_Site(message, kind, at, scope, self._raw(message)))

    def _carries(self, func: ast.expr) -> tuple[str, int]:
        """The class whose message a call makes, and where among the arguments it stands."""
        name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
        if name in self._kinds:
            return name, MESSAGE_AT.get(name, 0)
        if self._classes and self._classes[-1] in self._speakers and ast.unparse(func) == "super().__init__":
            return self._classes[-1], 0
        if name in {"error", "warn"} and isinstance(func, ast.Attribute):
            printer = ast.unparse(func.value).rpartition(".")[2]
            if printer in PRINTERS:
                return "Report" if PRINTERS[printer] else "printed", PRINTERS[printer]
        return "", 0

    def _raw(self, message: ast.expr) -> str:
        """The types of the exceptions in hand whose own text goes into the message as it is."""
        values = [n.value for n in ast.walk(message) if isinstance(n, ast.FormattedValue)] + [message]
        whole = {
            v.id if isinstance(v, ast.Name) else ast.unparse(v.args[0])
            for v in values
            if isinstance(v, ast.Name)
            or (isinstance(v, ast.Call) and ast.unparse(v.func) in {"str", "repr"} and v.args)
        }
        return ", ".join(kind for name, kind in self._handled if name and name in whole)


def _messages(site: _Site, package: Mapping[str, Module]) -> Iterator[Message]:
    for scope, module in _callers(site, package):
        at = "" if site.at is None else texts(site.at, scope)[0]
        area = module.path.parent.as_posix()
        for text in texts(site.message, scope):
            if text and not _WORDLESS.fullmatch(text) and not _EMPTY_PART.search(text):
                yield Message(area, site.kind, at, text, module.path.as_posix(), site.raised_from)


def _callers(site: _Site, package: Mapping[str, Module]) -> Iterator[tuple[Scope, Module]]:
    """The scopes in which a message has its words: its own, or those of the calls that give them."""
    function = site.scope.function if getattr(site.scope.function, "name", "") != "__init__" else None
    passed = site.scope.parameters & _bare_names(site.message)
    calls = list(_calls_of(function, site.scope.module, package)) if function is not None and passed else []
    given = [(dict(arguments(call, function, outer)), outer) for call, outer in calls] if function else []
    useful = [(g, outer) for g, outer in given if any(not isinstance(g[p][0], ast.Name) for p in passed & set(g))]
    if not useful:
        yield site.scope, site.scope.module
    for arguments_given, outer in useful:
        yield replace(site.scope, given={p: arguments_given[p] for p in passed & set(arguments_given)}), outer.module


def _bare_names(message: ast.expr) -> set[str]:
    """Names whose text goes into the message without quotes."""
    bare = [n.value for n in ast.walk(message) if isinstance(n, ast.FormattedValue) and n.conversion == -1]
    return {n.id for n in (*bare, message) if isinstance(n, ast.Name)}


def _calls_of(function: Function, home: Module, package: Mapping[str, Module]) -> Iterator[tuple[ast.Call, Scope]]:
    for module in package.values():
        imported = function.name in module.imports and package.get(module.imports[function.name][0]) is home
        if module is not home and not imported:
            continue
        for outer in (n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)):
            for node in ast.walk(outer):
                if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == function.name:
                    yield node, Scope(module, outer, package)


def reaches(kind: str, reasons: Mapping[str, str]) -> str:
    """How a person meets it: a reason with its HTTP status, or the place."""
    if reason := reasons.get(kind, ""):
        return f"`{reason}` {BY_REASON[reason].code}"
    return next((place for place, kinds in PLACES.items() if kind in kinds), "")
