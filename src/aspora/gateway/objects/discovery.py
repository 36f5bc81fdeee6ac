"""What there is: the list of resources, and the fields of each kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from aspora.apis.fields import FieldDoc, explain
from aspora.apis.kind import Kind
from aspora.gateway.objects.resources import ResourceInfo, Resources, resource_info
from aspora.meta.errors import API_VERSION, NotFound

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


def refuse_record(plural: str) -> None:
    """Nothing, unless a record has this plural: the models of kinds alone are explained.

    Raises:
        NotFound: It is a record; says where its fields are described.
    """
    for record in RECORDS:
        if record.plural == plural:
            raise NotFound(
                f"{plural!r} are records, and only kinds are explained; their fields stand in GET /openapi.json under"
                f" components.schemas.{record.kind}, and on one of them: aspora get {plural} -o yaml"
            )


def explanation(kind: Kind, path: str) -> Mapping[str, Any]:
    """A kind, or the field at a path, with the fields below it."""
    text, fields = explain(kind, path)
    return {
        "apiVersion": API_VERSION,
        "kind": "Explanation",
        "resource": kind.plural,
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
