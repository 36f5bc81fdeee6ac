"""From an expression to the texts that it can become: a name for each value in it, `'{name}'` where it is quoted."""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

MAX_TEXTS = 12
"""An expression with more variants is shown by a placeholder."""
MAX_DEPTH = 4
QUOTING = {"quoted", "repr"}
PLAIN = {"str", "printable", "clean", "_short", "shown", "ascii", "min", "max", "sorted", "fsdecode"}
ENDINGS = {"did_you_mean": "{did_you_mean}"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        path: Relative to the source's root.
    """

    path: Path
    tree: ast.Module

    @cached_property
    def constants(self) -> Mapping[str, ast.expr]:
        """What the module binds at its top."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                found[node.target.id] = node.value
        return found

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """By name, methods too; a name that comes twice means neither."""
        found: dict[str, Function | None] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = None if node.name in found else node
        return {name: node for name, node in found.items() if node is not None}

    @cached_property
    def imports(self) -> Mapping[str, tuple[str, str]]:
        """Local name → (module below the source's root as a path without suffix, name there)."""
        return {
            alias.asname or alias.name: ((node.module or "").removeprefix("aspora.").replace(".", "/"), alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }


@dataclass(frozen=True)
class Scope:
    """Where an expression stands.

    Attributes:
        function: Its innermost function, None at the module's top.
        package: Every module by its path without suffix.
    """

    module: Module
    function: Function | None
    package: Mapping[str, Module]
    given: Mapping[str, tuple[ast.expr, "Scope"]] = field(default_factory=dict)
    """What a caller gives for parameters."""

    @cached_property
    def locals(self) -> Mapping[str, list[ast.expr]]:
        """Every value that the function binds to a name by itself."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.function) if self.function else ():
            if isinstance(node, ast.Assign):
                _bind(found, node.targets[0], node.value)
            elif isinstance(node, ast.NamedExpr):
                _bind(found, node.target, node.value)
        return found

    @cached_property
    def parameters(self) -> set[str]:
        """Names of the function's parameters."""
        if self.function is None:
            return set()
        args = self.function.args
        return {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)}

    def find(self, name: str) -> tuple[Module, str]:
        """The module that defines a name, and its name there."""
        path, there = self.module.imports.get(name, ("", name))
        return (self.package[path], there) if path in self.package else (self.module, name)


def _bind(found: dict[str, list[ast.expr]], target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Name):
        found.setdefault(target.id, []).append(value)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            _bind(found, one, other)


def texts(node: ast.expr, scope: Scope, *, depth: int = 0) -> list[str]:
    """The texts an expression can become; a single placeholder when nothing more can be said."""
    found = list(dict.fromkeys(_texts(node, scope, depth)))
    return found if 0 < len(found) <= MAX_TEXTS else [placeholder(node)]


def _texts(node: ast.expr, scope: Scope, depth: int) -> Iterable[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return _product([_part(v, scope, depth) for v in values])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _product([texts(left, scope, depth=depth), texts(right, scope, depth=depth)])
        case ast.IfExp(body=body, orelse=other):
            return [*texts(body, scope, depth=depth), *texts(other, scope, depth=depth)]
        case ast.BoolOp(op=ast.Or(), values=values):
            return [t for v in values for t in texts(v, scope, depth=depth)]
        case ast.BoolOp(op=ast.And(), values=[*_, last]):
            return ["", *texts(last, scope, depth=depth)]
        case ast.Name(id=name):
            return _named(name, scope, depth)
        case ast.NamedExpr(value=value):
            return texts(value, scope, depth=depth)
        case ast.Call():
            return _called(node, scope, depth)
        case _:
            return [placeholder(node)]


def _part(node: ast.expr, scope: Scope, depth: int) -> list[str]:
    if not isinstance(node, ast.FormattedValue):
        return texts(node, scope, depth=depth)
    if node.conversion == ord("r"):
        return [f"'{t}'" if "{" in t else repr(t) for t in texts(node.value, scope, depth=depth)]
    return texts(node.value, scope, depth=depth)


def _product(parts: list[list[str]]) -> list[str]:
    total = 1
    for part in parts:
        total *= len(part)
    if total > MAX_TEXTS:
        parts = [p if len(p) == 1 else ["{…}"] for p in parts]
    return ["".join(combined) for combined in itertools.product(*parts)]


def _named(name: str, scope: Scope, depth: int) -> Iterable[str]:
    if depth >= MAX_DEPTH:
        return [placeholder(ast.Name(name))]
    if name in scope.given:
        value, outer = scope.given[name]
        return texts(value, outer, depth=depth + 1)
    if name in scope.parameters:
        return [placeholder(ast.Name(name))]
    if values := scope.locals.get(name):
        once = [v for v in values if _is_text(v) and name not in _names_in(v)]
        return [t for v in once for t in texts(v, scope, depth=depth + 1)] or [f"{{{name}}}"]
    module, there = scope.find(name)
    value = module.constants.get(there)
    if value is not None and _is_text(value):
        return texts(value, Scope(module, None, scope.package), depth=depth + 1)
    return [placeholder(ast.Name(name))]


def _names_in(node: ast.expr) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a text that stands in the code, at least in part."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) or _is_text(node.orelse)
    if isinstance(node, ast.BoolOp):
        return any(map(_is_text, node.values))
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    return isinstance(node, ast.JoinedStr | ast.Call)


def _called(node: ast.Call, scope: Scope, depth: int) -> Iterable[str]:
    name = _last_name(node.func)
    if name in ENDINGS:
        return [ENDINGS[name]]
    if name in QUOTING and node.args:
        return [f"'{placeholder(node.args[0])}'"]
    if isinstance(node.func, ast.Attribute) and name == "join":
        return [placeholder(node.args[0])]
    module, there = scope.find(name) if isinstance(node.func, ast.Name) else (scope.module, name)
    function = module.functions.get(there)
    if depth >= MAX_DEPTH or function is None or name in PLAIN or there == getattr(scope.function, "name", ""):
        return [placeholder(node)]
    return _returned(node, function, Scope(module, function, scope.package), scope, depth) or [placeholder(node)]


def _returned(call: ast.Call, function: Function, inner: Scope, outer: Scope, depth: int) -> list[str]:
    given = dict(arguments(call, function, outer))
    scope = Scope(inner.module, function, inner.package, given)
    values = [n.value for n in _own(function) if isinstance(n, ast.Return) and n.value is not None]
    found = [t for v in values if _is_text(v) or isinstance(v, ast.Name) for t in texts(v, scope, depth=depth + 1)]
    return [t for t in found if t and not re.fullmatch(r"\{[^{}]*\}", t)]


def arguments(call: ast.Call, function: Function, outer: Scope) -> Iterator[tuple[str, tuple[ast.expr, Scope]]]:
    """What a call gives for each parameter."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    for name, value in zip(names, call.args, strict=False):
        yield name, (value, outer)
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, (keyword.value, outer)


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting[:0] = ast.iter_child_nodes(node)


def placeholder(node: ast.expr) -> str:
    """A value's name in braces, as near to the code's own as reads well."""
    return f"{{{_value_name(node)}}}"


def _value_name(node: ast.expr) -> str:
    match node:
        case ast.Name() | ast.Attribute():
            return _dotted_name(node)
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript(value=value) | ast.Await(value=value) | ast.Starred(value=value):
            return _value_name(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[first]):
            return _value_name(first)
        case ast.Call(func=func, args=args):
            name = _last_name(func)
            return _value_name(args[0]) if args and name in PLAIN else name.lstrip("_")
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _value_name(first.iter)
        case ast.BinOp(left=left):
            return _value_name(left)
        case ast.BoolOp(values=[first, *_]):
            return _value_name(first)
        case _:
            return "…"


def _dotted_name(node: ast.Name | ast.Attribute) -> str:
    """The last word, with the one before it where that says whose it is."""
    if isinstance(node, ast.Attribute) and node.attr in {"name", "kind", "message", "path"}:
        return f"{_value_name(node.value)}.{node.attr}"
    return _last_name(node).lower().strip("_")


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
