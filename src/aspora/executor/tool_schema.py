"""Checks a tool's arguments against its JSON Schema, so that a model can correct them.

A subset that is checked fully; a schema with any other keyword is refused when it is compiled, never half checked.
Patterns run on a linear-time engine. Source: JSON Schema 2020-12, core and validation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

Schema = Mapping[str, Any]
Check = Callable[[Any, str], Iterator[str]]
"""Takes a value and its path; yields what is wrong."""

MAX_DEPTH = 64
MAX_PROBLEMS = 8
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "format", "$schema", "$id", "$comment", "$defs", "definitions"}
    | {"readOnly", "writeOnly", "deprecated"}
)


class UnsupportedSchema(ValueError):
    """A schema that can't be checked here; the message says why."""


def compile_schema(schema: Schema) -> Callable[[Any], list[str]]:
    """Make a checker: it returns the problems found, at most `MAX_PROBLEMS`, each with its path.

    Raises:
        UnsupportedSchema: A keyword is unknown, a reference leads nowhere or in a circle, a pattern is no pattern.
    """
    check = _Compiler(root=schema).compile(schema)

    def problems(value: Any) -> list[str]:
        return [problem for problem, _ in zip(check(value, "arguments"), range(MAX_PROBLEMS), strict=False)]

    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiler:
    root: Schema
    depth: int = 0

    def compile(self, schema: Any) -> Check:
        if self.depth > MAX_DEPTH:
            raise UnsupportedSchema(
                f"the schema refers to itself, or is more than {MAX_DEPTH} levels deep; make it flatter"
            )
        if isinstance(schema, bool):
            return _all([] if schema else [_refuse])
        if not isinstance(schema, Mapping):
            raise UnsupportedSchema(f"a schema is an object or a boolean, not {type(schema).__name__}")
        typed = cast("Schema", schema)
        unknown = set(typed) - set(_KEYWORDS) - _ANNOTATIONS
        if unknown:
            raise UnsupportedSchema(f"keyword {min(unknown)!r} can't be checked; known: {', '.join(sorted(_KEYWORDS))}")
        return _all([_KEYWORDS[name](self, value, typed) for name, value in typed.items() if name in _KEYWORDS])

    def inner(self, schema: Any) -> Check:
        return _Compiler(root=self.root, depth=self.depth + 1).compile(schema)


def _all(checks: list[Check]) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        for one in checks:
            yield from one(value, path)

    return check


def _refuse(_: Any, path: str) -> Iterator[str]:
    yield f"{path}: is not allowed"


def _require(holds: Callable[[Any], bool], says: str) -> Check:
    """A check of one condition."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not holds(value):
            yield f"{path}: {says}"

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: _is_number(v) and float(v).is_integer(),
    "number": _is_number,
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}


def _type(_: _Compiler, wanted: Any, _schema: Schema) -> Check:
    names: list[str] = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in _TYPES:
            raise UnsupportedSchema(f"type {name!r} is unknown; known: {', '.join(_TYPES)}")
    return _require(lambda v: any(_TYPES[name](v) for name in names), f"must be of type {' or '.join(names)}")


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: 1 equals 1.0, true does not equal 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _enum(_: _Compiler, values: Any, _schema: Schema) -> Check:
    allowed: list[Any] = list(values)
    says = f"must be one of {', '.join(repr(v) for v in allowed[:20])}"
    return _require(lambda v: any(_equal(v, a) for a in allowed), says)


def _const(_: _Compiler, constant: Any, _schema: Schema) -> Check:
    return _require(lambda v: _equal(v, constant), f"must be {constant!r}")


def _required(_: _Compiler, names: Any, _schema: Schema) -> Check:
    wanted: list[str] = list(names)

    def check(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (f"{path}.{name}: is required" for name in wanted if name not in value)

    return check


def _properties(compiler: _Compiler, properties: Any, _schema: Schema) -> Check:
    checks = {str(name): compiler.inner(sub) for name, sub in dict(properties).items()}

    def check(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, one in checks.items():
                if name in value:
                    yield from one(value[name], f"{path}.{name}")

    return check


def _additional_properties(compiler: _Compiler, sub: Any, schema: Schema) -> Check:
    known = set(schema.get("properties", {}))
    one = compiler.inner(sub)

    def check(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, item in cast("dict[str, Any]", value).items():
                if name not in known:
                    for problem in one(item, f"{path}.{name}"):
                        yield problem + (f"; known: {', '.join(sorted(known))}" if sub is False else "")

    return check


def _items(compiler: _Compiler, sub: Any, _schema: Schema) -> Check:
    one = compiler.inner(sub)

    def check(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, list):
            for i, item in enumerate(cast("list[Any]", value)):
                yield from one(item, f"{path}[{i}]")

    return check


def _of(name: str, fits: Callable[[int, int], bool], says: str) -> "Keyword":
    """`anyOf`, `oneOf`, `allOf` by how many of their schemas hold."""

    def compile_(compiler: _Compiler, subs: Any, _schema: Schema) -> Check:
        checks = [compiler.inner(sub) for sub in subs]
        if not checks:
            raise UnsupportedSchema(f"{name} must hold at least one schema")

        def holds(value: Any) -> bool:
            return fits(sum(next(one(value, ""), None) is None for one in checks), len(checks))

        return _require(holds, says)

    return compile_


def _reference(compiler: _Compiler, reference: Any, _schema: Schema) -> Check:
    target: Any = compiler.root
    if not str(reference).startswith("#"):
        raise UnsupportedSchema(f"$ref {reference!r} leaves the schema; only '#/…' can be followed")
    for part in str(reference).removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, Mapping) or name not in target:
            raise UnsupportedSchema(f"$ref {reference!r} leads nowhere; point it at a part of the schema")
        target = cast("Schema", target)[name]
    return compiler.inner(target)


def _pattern(_: _Compiler, pattern: Any, _schema: Schema) -> Check:
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=str(pattern), regex_engine="rust-regex"))
    except SchemaError:
        raise UnsupportedSchema(
            f"pattern {pattern!r} can't be used: it must be a regular expression of linear time"
        ) from None

    def holds(value: Any) -> bool:
        try:
            validator.validate_python(value)
        except ValidationError:
            return False
        return True

    return _require(lambda v: not isinstance(v, str) or holds(v), f"must match {pattern!r}")


def _limit(
    applies: Callable[[Any], bool], measure: Callable[[Any], Any], keeps: Callable[[Any, Any], bool], says: str
) -> "Keyword":
    """A bound on a number or on a length; other types pass."""

    def compile_(_: _Compiler, bound: Any, _schema: Schema) -> Check:
        if not _is_number(bound):
            raise UnsupportedSchema(f"a bound must be a number, not {bound!r}")
        return _require(lambda v: not applies(v) or keeps(measure(v), bound), says.format(bound))

    return compile_


def _value(value: Any) -> Any:
    return value


def _at_least(a: Any, b: Any) -> bool:
    return a >= b


def _at_most(a: Any, b: Any) -> bool:
    return a <= b


Keyword = Callable[[_Compiler, Any, Schema], Check]
_KEYWORDS: Mapping[str, Keyword] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "items": _items,
    "anyOf": _of("anyOf", lambda n, _: n >= 1, "fits none of the allowed forms"),
    "oneOf": _of("oneOf", lambda n, _: n == 1, "must fit exactly one of the allowed forms"),
    "allOf": _of("allOf", lambda n, of: n == of, "does not fit all of the required forms"),
    "$ref": _reference,
    "pattern": _pattern,
    "minimum": _limit(_is_number, _value, _at_least, "must be at least {}"),
    "maximum": _limit(_is_number, _value, _at_most, "must be at most {}"),
    "exclusiveMinimum": _limit(_is_number, _value, lambda a, b: a > b, "must be more than {}"),
    "exclusiveMaximum": _limit(_is_number, _value, lambda a, b: a < b, "must be less than {}"),
    "minLength": _limit(_TYPES["string"], len, _at_least, "must have at least {} characters"),
    "maxLength": _limit(_TYPES["string"], len, _at_most, "must have at most {} characters"),
    "minItems": _limit(_TYPES["array"], len, _at_least, "must have at least {} items"),
    "maxItems": _limit(_TYPES["array"], len, _at_most, "must have at most {} items"),
}
