"""What `test_openapi_faults.py` tells schemathesis of the API, beyond what a schema can say."""

from typing import Any

import schemathesis

OPAQUE = ("labelSelector", "fieldSelector", "continue", "resourceVersion")
"""Texts in a language of their own, or that only the server makes."""

WATCH_ONLY = ("resourceVersion", "timeoutSeconds")
LIST_ONLY = ("limit", "continue")
APPLY = "application/apply-patch+json"
ELSEWHERE = ({"$ref": "#/components/parameters/ImpersonateUser"},)
"""Tested elsewhere: nearly every user whom it would be is nobody, and is refused."""


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave out what would turn every other call into a refusal."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            operation["parameters"] = [p for p in operation.get("parameters", ()) if p not in ELSEWHERE]


@schemathesis.serializer("application/x-tar")
def serialize_tar(context: Any, value: Any) -> Any:
    """An archive is sent as bytes, whatever they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Keep watches short, and calls that are meant to be good within what the API takes."""
    query: dict[str, Any] = dict(case.query or {})
    if case.meta is None or not case.meta.generation.mode.is_negative:
        _make_good(case, query)
    if str(query.get("watch", "")).lower() == "true":
        given = str(query.get("timeoutSeconds", "1"))
        query["timeoutSeconds"] = "1" if given.isdecimal() and 1 <= int(given) <= 3600 else given
    if query.get("wait"):
        query["wait"] = "0"
    case.query = query


def _make_good(case: Any, query: dict[str, Any]) -> None:
    is_watch = str(query.get("watch", "")).lower() == "true"
    for name in (*OPAQUE, *(LIST_ONLY if is_watch else WATCH_ONLY)):
        query.pop(name, None)
    if case.media_type == APPLY:
        query["fieldManager"] = query.get("fieldManager") or "schemathesis"
    else:
        query.pop("force", None)
    place: dict[str, Any] = case.path_parameters or {}
    if "domain" in place:
        place["domain"] = "default"
    metadata = case.body.get("metadata") if isinstance(case.body, dict) else None
    if isinstance(metadata, dict):
        # The path says it already; another name in the body is refused.
        metadata.pop("domain", None)
        if "name" in place:
            metadata["name"] = place["name"]
