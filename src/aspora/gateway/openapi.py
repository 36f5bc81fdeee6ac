"""The published contract: an OpenAPI 3.1 document made from the kinds and the routes, so that it can't lag behind.

Source: OpenAPI Specification 3.1.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aspora.apis.kind import Kind, Scope
from aspora.client.interface import Propagation
from aspora.gateway.contract import (
    QUERY_TEXT,
    WATCH_QUERY,
    Answer,
    Contract,
    ContractRoute,
    Schema,
    reference,
    watch_content,
)
from aspora.gateway.http import OPENAI_PREFIX, json_response, query_of
from aspora.gateway.middleware.authentication import MAX_USER_CHARACTERS, PUBLIC_PATHS
from aspora.gateway.origin import FIELD_MANAGER, MAX_MANAGER_CHARACTERS
from aspora.meta.errors import (
    BY_REASON,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    StatusError,
    Timeout,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from aspora.meta.names import MAX_NAME_LENGTH

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

_NAME: Json = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "maxLength": MAX_NAME_LENGTH}
_TEXT = QUERY_TEXT
_LINE: Json = {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]*$"}
_PATH_SCHEMAS: Mapping[str, Schema] = {
    "domain": _NAME,
    "name": _NAME,
    "skill": _NAME,
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}
_LIST_QUERY: Mapping[str, Schema] = {
    "labelSelector": {**_TEXT, "description": "Labels that must match, e.g. `team=fraud,tier in (gold,silver)`."},
    "fieldSelector": {**_TEXT, "description": "Fields that must match, e.g. `spec.role=field`."},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": 5000,
        "default": 500,
        "description": "At most so many; not with `watch`.",
    },
    "continue": {**_TEXT, "description": "From the page before; not with `watch`."},
    **WATCH_QUERY,
}
_DRY_RUN: Mapping[str, Schema] = {
    "dryRun": {"enum": ["All"], "description": "`All`: take the whole path, write nothing."}
}
_MANAGER: Json = {**_LINE, "maxLength": MAX_MANAGER_CHARACTERS}
_WRITE: Mapping[str, Schema] = {
    **_DRY_RUN,
    FIELD_MANAGER: {**_MANAGER, "description": "Who owns the changed fields; `user:NAME` of the caller when absent."},
}
_PATCH: Mapping[str, Schema] = {
    **_DRY_RUN,
    FIELD_MANAGER: {**_MANAGER, "description": "Who owns the fields; an apply needs it."},
    "force": {"type": "boolean", "description": "With an apply alone, `true`: take fields over from their owners."},
}
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+json"
_PRECONDITIONS: Mapping[str, Schema] = {
    "uid": {**_TEXT, "description": "Delete only this very object."},
    "resourceVersion": {**_TEXT, "description": "Delete only this version."},
    "propagationPolicy": {
        "enum": list(get_args(Propagation)),
        "description": "What becomes of the objects it owns: `Background` (they go afterwards; when absent),"
        " `Foreground` (they go first) or `Orphan` (they stay).",
    },
}
_IMPERSONATE: Json = {
    "name": "Impersonate-User",
    "in": "header",
    "description": "Act as this user, with exactly their rights; needs the verb `impersonate` on `users`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_USER_CHARACTERS},
}
_WATCH_EVENT: Json = {
    "type": "object",
    "description": "A line of a watch. BOOKMARK carries a resourceVersion alone, ERROR a Status and is the last.",
    "required": ["type", "object"],
    "properties": {
        "type": {"enum": ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]},
        "object": {"type": "object"},
    },
}
_EVERYWHERE: tuple[type[StatusError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Unavailable,
    Timeout,
)
_OF_LISTS = (Expired,)
_OF_WRITES = (Conflict, TooLarge, Invalid)


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
        if isinstance(route, Route) and _is_published(route.path):
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
            "parameters": {"ImpersonateUser": _IMPERSONATE},
            "responses": {
                reason: {
                    "description": " ".join((inspect.getdoc(error) or reason).partition("\n\n")[0].split()),
                    "content": _content(reference("Status")),
                }
                for reason, error in BY_REASON.items()
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
    found: Json = {**definitions.get("$defs", {}), "Status": _STATUS_SCHEMA, "WatchEvent": _WATCH_EVENT}
    for kind in kinds:
        generic = references[kind.model, "validation"]["$ref"].rpartition("/")[2]
        found[kind.kind] = _named(found.pop(generic), kind)
        found[f"{kind.kind}List"] = _list_schema(kind)
        found[f"{kind.kind}Sent"] = _sent(found[kind.kind])
    return found


def _named(schema: Json, kind: Kind) -> Json:
    once = {"type": "object", "description": "Shown in the answer to a create, and never again."}
    properties = {**schema["properties"], "kind": {"const": kind.kind}, "once": once}
    return {**schema, "title": kind.kind, "properties": properties}


def _sent(schema: Json) -> Json:
    """What may be sent: the path says the kind already, and the server's own fields are passed over."""
    required = [name for name in schema["required"] if name not in {"apiVersion", "kind"}]
    properties = {name: part for name, part in schema["properties"].items() if name != "once"}
    return {**schema, "title": f"{schema['title']} as it is sent", "required": required, "properties": properties}


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
            f"{kind.kind}Sent",
            "201",
            kind.kind,
            _WRITE,
        )
        item["post"]["responses"]["200"] = {**item["post"]["responses"]["201"], "description": "It would be created."}
    return item


def _list_operation(kind: Kind, path: str, *, where: str) -> Json:
    operation = _operation(
        f"list{kind.kind}{where}", f"List or watch {kind.plural}.", path, None, "200", f"{kind.kind}List", _LIST_QUERY
    )
    operation["parameters"].append(
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "With a watch as server-sent events: where to go on, in place of resourceVersion.",
            "schema": _STRING,
        }
    )
    operation["responses"]["200"]["content"] |= watch_content()
    operation["responses"] |= _errors(_OF_LISTS)
    return operation


def _item(kind: Kind, path: str, *, in_domain: bool) -> Json:
    where = _where(in_domain)
    table = {
        "get": ("get", f"Read {_one(kind)}.", None, {}),
        "put": ("update", f"Replace {_one(kind)}; needs the current resourceVersion.", f"{kind.kind}Sent", _WRITE),
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
            f"update{kind.kind}{where}", "Replace the status alone.", path, f"{kind.kind}Sent", "200", kind.kind, _WRITE
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
    query: Mapping[str, Schema],
) -> Json:
    """One operation; `body` names a schema, "" is a merge patch or an apply of what it answers, None is no body."""
    operation: Json = {
        "operationId": operation_id,
        "summary": summary,
        "parameters": [*_path_parameters(path), *_parameters("query", query), *_impersonation(path)],
        "responses": {
            status: {"description": "Done.", "content": _content(reference(answer))},
            **_errors(_EVERYWHERE if query is _LIST_QUERY or not query else (*_EVERYWHERE, *_OF_WRITES)),
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


def _is_published(path: str) -> bool:
    """Not the generic object routes, which are published kind by kind, and not what OpenAI publishes."""
    return "{plural}" not in path.replace("/explain/{plural}", "") and not path.startswith(OPENAI_PREFIX)


def _path_parameters(path: str) -> list[Json]:
    names: list[str] = _PATH_PARAMETER.findall(path)
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _STRING)} for name in names
    ]


def _parameters(place: str, schemas: Mapping[str, Schema]) -> list[Json]:
    """Optional parameters; what a schema says of itself is said of the parameter."""
    found: list[Json] = []
    for name, schema in schemas.items():
        rest = {key: value for key, value in schema.items() if key != "description"}
        text = {"description": schema["description"]} if "description" in schema else {}
        found.append({"name": name, "in": place, **text, "schema": rest})
    return found


def _impersonation(path: str) -> list[Json]:
    return [] if path in PUBLIC_PATHS else [{"$ref": "#/components/parameters/ImpersonateUser"}]


def _errors(errors: Iterable[type[StatusError]]) -> Json:
    """A 500 is promised nowhere: it is a defect."""
    return {str(error.code): {"$ref": f"#/components/responses/{error.reason}"} for error in errors}


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
                "parameters": [*_path_parameters(route.path), *_impersonation(route.path)],
                "responses": {
                    "2XX": {"description": "Done."},
                    **_errors(_EVERYWHERE if method == "get" else (*_EVERYWHERE, *_OF_WRITES)),
                },
            }
            if route.path in PUBLIC_PATHS:
                operation["security"] = []
            if description:
                operation["description"] = description
            if isinstance(route, ContractRoute):
                _add_contract(operation, route.contract)
            operations[method] = operation
    return operations


def _add_contract(operation: Json, contract: Contract) -> None:
    operation["parameters"] += [*_parameters("query", contract.query), *_parameters("header", contract.headers)]
    if contract.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {contract.body_type: {"schema": _of(contract.body, contract.body_type)}},
        }
    del operation["responses"]["2XX"]
    operation["responses"] |= _errors(contract.errors)
    for status, answer in contract.answers.items():
        operation["responses"][str(status)] = {"description": answer.description, "content": _answer_content(answer)}


def _answer_content(answer: Answer) -> Json:
    content: Json = {answer.media_type: {"schema": _of(answer.schema, answer.media_type)}}
    return content | watch_content() if answer.may_stream else content


def _of(name: str, media_type: str) -> Schema:
    """A named schema; bytes and text have none."""
    return reference(name) if name else {"type": "string", "contentMediaType": media_type}


def _slug(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")
