"""From JSON to a typed object, with every field error at once, each with its wire path and the nearest known name."""

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from aspora.apis.kind import Kind, Scope
from aspora.meta.errors import API_VERSION, FieldError, Invalid
from aspora.meta.names import check_labels, check_name, did_you_mean
from aspora.meta.objects import Object


def _format_path(loc: Sequence[int | str]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class inside an annotation such as `list[Model] | None`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for arg in typing.get_args(annotation):
        found = _model_in(arg)
        if found is not None:
            return found
    return None


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        if current is None:
            return None
        by_alias = {info.alias or name: info for name, info in current.model_fields.items()}
        if part in by_alias:
            current = _model_in(by_alias[part].annotation)
    return current


def _known_names(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Wire names of the fields of the model that lies at `loc`."""
    holder = _model_at(model, loc)
    return [info.alias or name for name, info in holder.model_fields.items()] if holder is not None else []


def _as_field_error(error: Any, model: type[BaseModel]) -> FieldError:
    loc: tuple[int | str, ...] = error["loc"]
    path = _format_path(loc)
    match error["type"]:
        case "extra_forbidden":
            known = _known_names(model, loc[:-1])
            return FieldError(
                path, f"unknown field {str(loc[-1])!r}{did_you_mean(str(loc[-1]), known)}", "UnknownField"
            )
        case "missing":
            return FieldError(path, "is required", "Required")
        case "value_error":
            return FieldError(path, str(error["ctx"]["error"]))
        case _:
            return FieldError(path, error["msg"][0].lower() + error["msg"][1:])


def field_errors(error: ValidationError, model: type[BaseModel]) -> list[FieldError]:
    """Turn pydantic's errors into field errors; input values are left out of the messages."""
    return [_as_field_error(e, model) for e in error.errors(include_url=False, include_input=False)]


def _check_metadata(kind: Kind, obj: Object[Any, Any]) -> list[FieldError]:
    meta = obj.metadata
    errors = check_name(meta.name, dots=kind.dotted_names)
    errors += check_labels(meta.labels.items(), field="metadata.labels")
    if kind.scope is Scope.CLUSTER and meta.domain is not None:
        errors.append(FieldError("metadata.domain", f"{kind.kind} is cluster-wide: leave the domain out"))
    if kind.scope is Scope.DOMAIN:
        errors += check_name(meta.domain or "", field="metadata.domain")
    elif meta.domain is not None:
        errors += check_name(meta.domain, field="metadata.domain")
    size = sum(len(k) + len(v) for k, v in meta.annotations.items())
    if size > 262_144:
        errors.append(FieldError("metadata.annotations", f"{size} characters in all; at most 262144"))
    return errors


def decode(kind: Kind, data: Mapping[str, Any]) -> Object[Any, Any]:
    """Check an object's JSON form and give it types.

    Raises:
        Invalid: With every problem of shape, metadata and `kind.validate`, each with its path.
    """
    if data.get("apiVersion", API_VERSION) != API_VERSION:
        problem = FieldError("apiVersion", f"{data['apiVersion']!r} is not known; use {API_VERSION!r}")
        raise Invalid(
            f"{kind.kind} has an unknown apiVersion {str(data['apiVersion'])[:80]!r}; use {API_VERSION!r}",
            details=[problem],
        )
    try:
        obj = kind.model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as e:
        raise invalid(kind.kind, data, field_errors(e, kind.model)) from None
    errors = _check_metadata(kind, obj) + kind.validate(obj)
    if errors:
        raise invalid(kind.kind, data, errors)
    return obj


def invalid(kind: str, data: Mapping[str, Any], errors: Sequence[FieldError]) -> Invalid:
    """The `Invalid` error for an object with these field errors."""
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    problems = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return Invalid(
        f"{kind} {str(name or '')[:80]!r} has {problems}: " + "; ".join(str(e) for e in errors[:3]), details=errors
    )
