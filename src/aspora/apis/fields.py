"""The fields of a kind as data: name, type, default, description. What `explain`, warnings and generated pages read."""

import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from aspora.apis.kind import Kind, Wire
from aspora.meta.errors import NotFound
from aspora.meta.names import did_you_mean

_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field, for people.

    Attributes:
        path: From the object's root in wire names.
        type: `string`, `integer`, `list of object`, `"a" or "b"` …
        required: Whether an object without it is refused.
        default: Its JSON value when left out; None also when there is none.
        description: What it means.
        limits: What values are accepted beyond the type.
        inactive: Why it does nothing yet; "" when it works.
        has_fields: Whether it can be explained further.
    """

    path: str
    type: str
    required: bool
    default: Any
    description: str
    limits: tuple[str, ...]
    inactive: str
    has_fields: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def explain(kind: Kind, path: str) -> tuple[str, Sequence[FieldDoc]]:
    """What lies at a path: a description, and the fields below it (none for a plain value).

    Raises:
        NotFound: No such field; names the nearest one.
    """
    model: type[BaseModel] | None = kind.model
    description = f"{kind.kind} ({kind.plural}). {_summary(kind.spec)}"
    walked = ""
    for part in [p for p in path.split(".") if p]:
        fields = _by_alias(model) if model is not None else {}
        if part not in fields:
            where = f"{kind.singular}.{walked}" if walked else kind.singular
            raise NotFound(f"{where} has no field {part!r}{did_you_mean(part, fields)}")
        model = model_within(fields[part].annotation)
        description = fields[part].description or _summary(model)
        walked = f"{walked}.{part}" if walked else part
    return description, list(_fields_below(kind, model, walked)) if model is not None else []


def explain_schema(singular: str, schema: Wire, path: str) -> tuple[str, Sequence[FieldDoc]]:
    """The same of what has no kind, such as a record, from its published JSON Schema.

    Raises:
        NotFound: No such field; names the nearest one.
    """
    walked = ""
    for part in [p for p in path.split(".") if p]:
        fields = _schema_within(schema).get("properties", {})
        if part not in fields:
            where = f"{singular}.{walked}" if walked else singular
            raise NotFound(f"{where} has no field {part[:80]!r}{did_you_mean(part[:80], fields)}")
        schema = fields[part]
        walked = f"{walked}.{part}" if walked else part
    inner = _schema_within(schema)
    docs = [
        FieldDoc(
            path=f"{walked}.{name}" if walked else name,
            type=_type_text(field, {}),
            required=name in inner.get("required", ()),
            default=field.get("default"),
            description=str(field.get("description", "")),
            limits=tuple(_limits(field)),
            inactive="",
            has_fields=bool(_schema_within(field).get("properties")),
        )
        for name, field in inner.get("properties", {}).items()
    ]
    return str(schema.get("description", "")), docs


def _schema_within(schema: Wire) -> Wire:
    """The schema whose fields are meant: of a list, that of its items."""
    return _schema_within(schema["items"]) if schema.get("type") == "array" else schema


def require_field(kind: Kind, path: str) -> None:
    """Ask whether objects of a kind can have anything at a path; whatever lies below a free map can be there.

    Raises:
        NotFound: No such field; names the nearest one.
    """
    annotation: Any = kind.model
    walked = kind.singular
    for part in path.split("."):
        if _is_free(annotation):
            return
        model = model_within(annotation)
        fields = _by_alias(model) if model is not None else {}
        if part not in fields:
            raise NotFound(f"{walked} has no field {part[:80]!r}{did_you_mean(part[:80], fields)}")
        annotation, walked = fields[part].annotation, f"{walked}.{part}"


def default_at(kind: Kind, path: str) -> Any:
    """The JSON value that an object gets at a path when its author says nothing; None when there is no default."""
    return _default_in(kind.model, path)


@cache
def _default_in(whole: type[BaseModel], path: str) -> Any:
    model: type[BaseModel] | None = whole
    parts = path.split(".")
    for i, part in enumerate(parts):
        info = _by_alias(model).get(part) if model is not None else None
        if info is None:
            return None
        default = _default_of(info)
        if isinstance(default, Mapping) or i == len(parts) - 1:
            return _descend(default, parts[i + 1 :])
        model = model_within(info.annotation)
    return None


def values_at(value: Any, parts: Sequence[str]) -> Iterator[Any]:
    """The values at a path in JSON, through lists: one for each item that has it."""
    for depth, part in enumerate(parts):
        if isinstance(value, list):
            yield from _of_each(value, parts[depth:])
            return
        if not isinstance(value, Mapping) or part not in value:
            return
        value = value[part]
    if isinstance(value, list):
        yield from _of_each(value, ())
    else:
        yield value


def _of_each(items: Iterable[Any], parts: Sequence[str]) -> Iterator[Any]:
    for item in items:
        yield from values_at(item, parts)


def inactive_fields(kind: Kind, obj: Wire) -> Iterator[tuple[str, str]]:
    """Where an object is set to something that does nothing, each place with the reason."""
    for path, why in kind.inactive.items():
        default = default_at(kind, path)
        if any(value != default for value in values_at(obj, path.split("."))):
            yield path, why
    yield from kind.inactive_values(obj)


def model_within(annotation: Any) -> type[BaseModel] | None:
    """The model class inside an annotation such as `list[Model] | None`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(model_within, typing.get_args(annotation)) if m is not None), None)


def _is_free(annotation: Any) -> bool:
    """Whether keys below are their author's own."""
    return annotation is Any or typing.get_origin(annotation) is dict or any(map(_is_free, typing.get_args(annotation)))


def _summary(model: type[BaseModel] | None) -> str:
    return inspect.cleandoc(model.__doc__ or "") if model is not None else ""


def _by_alias(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _default_of(info: FieldInfo) -> Any:
    """As JSON with absent values left out; None for a required field."""
    if info.is_required():
        return None
    value: Any = info.get_default(call_default_factory=True, validated_data={})
    return to_jsonable_python(value, by_alias=True, exclude_none=True)


def _descend(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _fields_below(kind: Kind, model: type[BaseModel], path: str) -> Iterator[FieldDoc]:
    properties: Mapping[str, Any] = model.model_json_schema(by_alias=True).get("properties", {})
    schema_root = model.model_json_schema(by_alias=True)
    for name, info in _by_alias(model).items():
        full = f"{path}.{name}" if path else name
        yield FieldDoc(
            path=full,
            type=_type_text(properties[name], schema_root.get("$defs", {})),
            required=info.is_required(),
            default=_default_of(info),
            description=info.description or "",
            limits=tuple(_limits(properties[name])),
            inactive=kind.inactive.get(full, ""),
            has_fields=model_within(info.annotation) is not None,
        )


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    for option in (schema, *_not_null(schema.get("anyOf", []))):
        yield from (text.format(option[key]) for key, text in _LIMITS.items() if key in option)


def _not_null(options: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [o for o in options if o.get("type") != "null"]


def _type_text(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if reference := schema.get("$ref"):
        return _type_text(defs.get(str(reference).rpartition("/")[2], {}), defs)
    if "const" in schema or "enum" in schema:
        values: Sequence[Any] = schema.get("enum") or [schema["const"]]
        return " or ".join(f'"{v}"' for v in values)
    if options := schema.get("anyOf"):
        return " or ".join(_type_text(o, defs) for o in _not_null(options))
    if schema.get("type") == "array":
        return f"list of {_type_text(schema.get('items', {}), defs)}"
    values_schema = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(values_schema, Mapping):
        return f"map of string to {_type_text(values_schema, defs)}"
    return str(schema.get("type", "any value"))
