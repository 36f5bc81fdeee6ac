"""What there is: the list of resources, and the fields of each kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from aspora.apis.fields import FieldDoc, explain, explain_schema
from aspora.apis.kind import Kind
from aspora.gateway.contract import Schema
from aspora.gateway.objects.resources import ResourceInfo, Resources, resource_info
from aspora.meta.errors import API_VERSION

RECORDS = (
    ResourceInfo("audit", "audit", "AuditEvent", "Cluster", ("list",)),
    ResourceInfo("budgets", "budget", "Budget", "Either", ("get", "list", "update"), ("bu",)),
    ResourceInfo("calls", "call", "Call", "Either", ("get", "list")),
    ResourceInfo("events", "event", "Event", "Either", ("create", "list", "watch"), ("ev",)),
    ResourceInfo("executions", "execution", "Execution", "Domain", ("cancel", "create", "get", "list"), ("exec", "ex")),
    ResourceInfo("nodes", "node", "Node", "Cluster", ("get", "list"), ("no",)),
)


def resource_list(resources: Resources, records: Sequence[ResourceInfo] = RECORDS) -> Mapping[str, Any]:
    """Everything that `get` works on, kinds and records."""
    infos = [*(resource_info(kind) for kind in resources.kinds()), *records]
    return {
        "apiVersion": API_VERSION,
        "kind": "APIResourceList",
        "resources": [info.to_wire() for info in sorted(infos, key=lambda i: i.plural)],
    }


def record_explanation(plural: str, schemas: Mapping[str, Schema], path: str) -> Mapping[str, Any] | None:
    """A record, or the field at a path, from the schemas of records by kind; None when no record has this plural."""
    record = next((r for r in RECORDS if r.plural == plural and r.kind in schemas), None)
    if record is None:
        return None
    text, fields = explain_schema(record.singular, schemas[record.kind], path)
    about = text if path else f"{record.kind} ({plural}). {text} A record: it can be read, but not applied."
    return _explanation(plural, path, about, fields)


def explanation(kind: Kind, path: str) -> Mapping[str, Any]:
    """A kind, or the field at a path, with the fields below it."""
    text, fields = explain(kind, path)
    return _explanation(kind.plural, path, text, fields)


def _explanation(plural: str, path: str, text: str, fields: Sequence[FieldDoc]) -> Mapping[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Explanation",
        "resource": plural,
        "path": path,
        "description": text,
        "fields": [_field_body(f) for f in fields],
    }


def _field_body(doc: FieldDoc) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": doc.name,
        "path": doc.path,
        "type": doc.type,
        "required": doc.required,
        "description": doc.description,
        "limits": list(doc.limits),
        "hasFields": doc.has_fields,
    }
    if doc.default is not None:
        body["default"] = doc.default
    if doc.inactive:
        body["inactive"] = doc.inactive
    return body
