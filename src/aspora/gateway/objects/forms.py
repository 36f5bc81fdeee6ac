"""An object or a list in the form that the caller asked for: plain JSON, Table or Description."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aspora.apis.kind import Kind, Scope
from aspora.gateway.objects.resources import Target
from aspora.gateway.tables import TableForm, description, object_columns, object_sections
from aspora.meta.errors import API_VERSION, BadRequest
from aspora.store.interface import Event, Page, Wire


def table_form(target: Target, *, now: datetime) -> TableForm:
    """The table of a kind; with the domain when several are shown."""
    with_domain = target.domain is None and target.kind.scope is not Scope.CLUSTER
    return object_columns(target.kind.columns, with_domain=with_domain, now=lambda: now)


def list_body(target: Target, page: Page, form: str, *, now: datetime) -> Mapping[str, Any]:
    """A page on the wire."""
    metadata: dict[str, Any] = {"resourceVersion": page.resource_version}
    if page.continue_token is not None:
        metadata["continue"] = page.continue_token
    match form:
        case "Table":
            return table_form(target, now=now).table(page.items, metadata=metadata)
        case "Description":
            raise BadRequest("a list has no Description; ask for one object, or for as=Table")
        case _:
            kind = f"{target.kind.kind}List"
            return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "items": list(page.items)}


def object_body(target: Target, obj: Wire, form: str, *, now: datetime) -> Mapping[str, Any]:
    """One object on the wire."""
    match form:
        case "Table":
            version = obj["metadata"].get("resourceVersion", "")
            return table_form(target, now=now).table([obj], metadata={"resourceVersion": version})
        case "Description":
            return description(_sections(target.kind, obj, now=now))
        case _:
            return obj


def event_body(target: Target, event: Event, form: str, *, now: datetime) -> Mapping[str, Any]:
    """One watch event on the wire; a Table's events carry one row each."""
    if form == "Table" and event.type != "BOOKMARK":
        return {"type": event.type, "object": object_body(target, event.object, form, now=now)}
    return {"type": event.type, "object": event.object}


def _sections(kind: Kind, obj: Wire, *, now: datetime) -> Sequence[Any]:
    first, last = object_sections(obj, now=now)
    return [*first, *kind.describe(obj), *last]
