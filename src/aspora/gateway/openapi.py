"""The published contract: an OpenAPI 3.1 document made from the kinds and the routes, so that it can't lag behind.

Source: OpenAPI Specification 3.1.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aspora.apis.kind import Kind, Scope
from aspora.gateway.contract import Contract, ContractRoute, reference
from aspora.gateway.http import json_response, query_of

Json = dict[str, Any]

_REF = str(reference("{model}")["$ref"])
_PATH_PARAMETER = re.compile(r"{([a-z_]+)}")
_METHODS = ("get", "put", "post", "patch", "delete")
_STRING: Json = {"type": "string"}

_STATUS_SCHEMA: Json = {
    "type": "object",
    "description": "The one shape of every error.",
    "required": ["apiVersion", "kind", "status", "code", "reason", "message", "details"],
    "properties": {
        "apiVersion": _STRING,
        "kind": {"const": "Status"},
        "status": {"const": "Failure"},
        "code": {"type": "integer"},
        "reason": _STRING,
        "message": _STRING,
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": _STRING, "reason": _STRING, "message": _STRING},
                "required": ["field", "reason", "message"],
            },
        },
    },
}

_LIST_QUERY = {
    "labelSelector": "Labels that must match, e.g. `team=fraud,tier in (gold,silver)`.",
    "fieldSelector": "Fields that must match, e.g. `spec.role=field`.",
    "limit": "At most so many, 1 to 5000; 500 when absent.",
    "continue": "From the page before.",
    "watch": "`true`: changes as lines of JSON.",
    "resourceVersion": "With `watch`: where to begin; all objects come first when absent.",
    "timeoutSeconds": "With `watch`: when to end.",
}
_DRY_RUN = {"dryRun": "`All`: take the whole path, write nothing."}
_WRITE = {**_DRY_RUN, "fieldManager": "Who owns the changed fields; `user:NAME` of the caller when absent."}
_PATCH = {
    **_DRY_RUN,
    "fieldManager": "Who owns the fields; an apply needs it.",
    "force": "With an apply, `true`: take fields over from their owners.",
}
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+json"
_PRECONDITIONS = {
    "uid": "Delete only this very object.",
    "resourceVersion": "Delete only this version.",
    "propagationPolicy": "What becomes of the objects it owns: `Background` (they go afterwards; when absent),"
    " `Foreground` (they go first) or `Orphan` (they stay).",
}


def openapi_document(kinds: Iterable[Kind], routes: Sequence[BaseRoute], *, version: str) -> Json:
    """The document.

    Args:
        kinds: Each gets its paths and schemas.
        routes: All other routes: each is described by its handler's docstring, and by its contract when it has one.
            Generic object routes are left out.
        version: Aspora's.
    """
    all_kinds = sorted(kinds, key=lambda k: k.plural)
    paths: Json = {}
    for kind in all_kinds:
        paths.update(_kind_paths(kind))
    for route in routes:
        if isinstance(route, Route) and "{plural}" not in route.path.replace("/explain/{plural}", ""):
            paths.setdefault(route.path, {}).update(_route_operations(route))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aspora", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**_contract_schemas(routes), **_schemas(all_kinds)},
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Error": {
                    "description": "What went wrong.",
                    "content": _content(reference("Status")),
                }
            },
        },
    }


def openapi_routes(document: Callable[[], Json]) -> list[BaseRoute]:
    """Serves the document; it is made at the first request."""
    made: list[Json] = []

    async def get_openapi(request: Request) -> Response:
        """This document."""
        query_of(request, ())
        if not made:
            made.append(document())
        return json_response(made[0])

    return [Route("/openapi.json", get_openapi)]


def _contract_schemas(routes: Sequence[BaseRoute]) -> Json:
    return {
        name: schema
        for route in routes
        if isinstance(route, ContractRoute)
        for name, schema in route.contract.schemas.items()
    }


def _schemas(kinds: Sequence[Kind]) -> Json:
    references, definitions = models_json_schema(
        [(kind.model, "validation") for kind in kinds], by_alias=True, ref_template=_REF
    )
    found: Json = {**definitions.get("$defs", {}), "Status": _STATUS_SCHEMA}
    for kind in kinds:
        generic = references[kind.model, "validation"]["$ref"].rpartition("/")[2]
        found[kind.kind] = _named(found.pop(generic), kind)
        found[f"{kind.kind}List"] = _list_schema(kind)
    return found


def _named(schema: Json, kind: Kind) -> Json:
    properties = {**schema["properties"], "kind": {"const": kind.kind}}
    return {**schema, "title": kind.kind, "properties": properties}


def _list_schema(kind: Kind) -> Json:
    metadata: Json = {"type": "object", "properties": {"resourceVersion": _STRING, "continue": _STRING}}
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "items"],
        "properties": {
            "apiVersion": _STRING,
            "kind": {"const": f"{kind.kind}List"},
            "metadata": metadata,
            "items": {"type": "array", "items": reference(kind.kind)},
        },
    }


def _kind_paths(kind: Kind) -> Json:
    bases: list[str] = []
    if kind.scope is not Scope.DOMAIN:
        bases.append(f"/api/v1/{kind.plural}")
    if kind.scope is not Scope.CLUSTER:
        bases.append(f"/api/v1/domains/{{domain}}/{kind.plural}")
    paths: Json = {}
    for base in bases:
        in_domain = "{domain}" in base
        paths[base] = _collection(kind, base, in_domain=in_domain)
        paths[f"{base}/{{name}}"] = _item(kind, f"{base}/{{name}}", in_domain=in_domain)
        paths[f"{base}/{{name}}/status"] = _status(kind, f"{base}/{{name}}/status", in_domain=in_domain)
    if kind.scope is Scope.DOMAIN:
        everywhere = f"/api/v1/{kind.plural}"
        paths[everywhere] = {"get": _list_operation(kind, everywhere, where="AllDomains")}
    return {path: item for path, item in paths.items() if item}


def _collection(kind: Kind, path: str, *, in_domain: bool) -> Json:
    item: Json = {}
    if {"list", "watch"} & kind.verbs:
        item["get"] = _list_operation(kind, path, where=_where(in_domain))
    if "create" in kind.verbs:
        item["post"] = _operation(
            f"create{kind.kind}{_where(in_domain)}",
            f"Create {_one(kind)}.",
            path,
            kind.kind,
            "201",
            kind.kind,
            _WRITE,
        )
    return item


def _list_operation(kind: Kind, path: str, *, where: str) -> Json:
    return _operation(
        f"list{kind.kind}{where}", f"List or watch {kind.plural}.", path, None, "200", f"{kind.kind}List", _LIST_QUERY
    )


def _item(kind: Kind, path: str, *, in_domain: bool) -> Json:
    where = _where(in_domain)
    table = {
        "get": ("get", f"Read {_one(kind)}.", None, {}),
        "put": ("update", f"Replace {_one(kind)}; needs the current resourceVersion.", kind.kind, _WRITE),
        "patch": ("patch", f"Merge a patch into {_one(kind)} (RFC 7386), or apply what a manager wants.", "", _PATCH),
        "delete": ("delete", f"Delete {_one(kind)}.", None, {**_DRY_RUN, **_PRECONDITIONS}),
    }
    return {
        method: _operation(f"{verb}{kind.kind}{where}", summary, path, body, "200", kind.kind, query)
        for method, (verb, summary, body, query) in table.items()
        if verb in kind.verbs
    }


def _status(kind: Kind, path: str, *, in_domain: bool) -> Json:
    where = f"Status{_where(in_domain)}"
    item: Json = {}
    if "get" in kind.verbs:
        item["get"] = _operation(
            f"get{kind.kind}{where}", f"Read {_one(kind)} with its status.", path, None, "200", kind.kind, {}
        )
    if "update" in kind.verbs:
        item["put"] = _operation(
            f"update{kind.kind}{where}", "Replace the status alone.", path, kind.kind, "200", kind.kind, _DRY_RUN
        )
    return item


def _one(kind: Kind) -> str:
    return f"{'an' if kind.kind[0] in 'AEIOU' else 'a'} {kind.kind}"


def _where(in_domain: bool) -> str:
    return "InDomain" if in_domain else ""


def _operation(
    operation_id: str,
    summary: str,
    path: str,
    body: str | None,
    status: str,
    answer: str,
    query: Mapping[str, str],
) -> Json:
    """One operation; `body` names a schema, "" is a merge patch or an apply of what it answers, None is no body."""
    operation: Json = {
        "operationId": operation_id,
        "summary": summary,
        "parameters": [*_path_parameters(path), *_query_parameters(query)],
        "responses": {
            status: {"description": "Done.", "content": _content(reference(answer))},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if body == "":
        part: Json = {"type": "object", "description": f"The part of {answer} that is to change, or is wanted."}
        operation["requestBody"] = {"required": True, "content": {t: {"schema": part} for t in (_MERGE, _APPLY)}}
        operation["responses"]["201"] = {
            "description": "An apply created it.",
            "content": _content(reference(answer)),
        }
    elif body is not None:
        operation["requestBody"] = {"required": True, "content": _content(reference(body))}
    return operation


def _content(schema: Mapping[str, Any]) -> Json:
    return {"application/json": {"schema": schema}}


def _path_parameters(path: str) -> list[Json]:
    names: list[str] = _PATH_PARAMETER.findall(path)
    return [{"name": name, "in": "path", "required": True, "schema": _STRING} for name in names]


def _query_parameters(query: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "in": "query", "description": text, "schema": _STRING} for name, text in query.items()]


def _route_operations(route: Route) -> Json:
    """A route of another part; without a contract its handler's docstring is all that is known."""
    text = inspect.getdoc(route.endpoint) or route.name
    summary, _, description = text.partition("\n\n")
    operations: Json = {}
    for method in _METHODS:
        if method.upper() in (route.methods or set()):
            operation: Json = {
                "operationId": f"{method}_{route.name}_{_slug(route.path)}",
                "summary": " ".join(summary.split()),
                "parameters": _path_parameters(route.path),
                "responses": {
                    "2XX": {"description": "Done."},
                    "default": {"$ref": "#/components/responses/Error"},
                },
            }
            if description:
                operation["description"] = description
            if isinstance(route, ContractRoute):
                _add_contract(operation, route.contract)
            operations[method] = operation
    return operations


def _add_contract(operation: Json, contract: Contract) -> None:
    for place, parameters in (("query", contract.query), ("header", contract.headers)):
        for name, schema in parameters.items():
            operation["parameters"].append({"name": name, "in": place, "schema": schema})
    if contract.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(reference(contract.body))}
    del operation["responses"]["2XX"]
    for status, answer in contract.answers.items():
        content = {answer.media_type: {"schema": reference(answer.schema)}}
        operation["responses"][str(status)] = {"description": answer.description, "content": content}


def _slug(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")
