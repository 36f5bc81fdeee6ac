"""The published form of what the object door answers besides objects: discovery, explanations, who may do what."""

from collections.abc import Mapping
from typing import Any, Final

from aspora.gateway.contract import QUERY_TEXT, Answer, Contract, Schema
from aspora.meta.errors import API_VERSION

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _record(required: str, /, **properties: Schema) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


_RESOURCE = _record(
    "name kind verbs", name=_TEXT, singularName=_TEXT, kind=_TEXT, scope=_TEXT, verbs=_TEXTS, shortNames=_TEXTS
)
_GRANT = _record("domain verbs kinds", domain=_TEXT, verbs=_TEXTS, kinds=_TEXTS, names=_TEXTS)

_SCHEMAS: Mapping[str, Schema] = {
    "ResourceList": _record("resources", resources={"type": "array", "items": _RESOURCE}),
    "Explanation": _record("kind"),
    "WhoAmI": _record(
        "apiVersion kind name type key roles grants",
        apiVersion={"const": API_VERSION},
        kind={"const": "WhoAmI"},
        name=_TEXT,
        type=_TEXT,
        key=_TEXT,
        roles=_TEXTS,
        grants={"type": "array", "items": _GRANT},
        impersonatedBy=_TEXT,
        expiresAt={"type": "string", "format": "date-time"},
    ),
    "Question": {
        **_record(
            "verb resource",
            verb={**_TEXT, "minLength": 1},
            resource={**_TEXT, "minLength": 1, "description": "A plural, like `skills`."},
            domain=_TEXT,
            name=_TEXT,
        ),
        "additionalProperties": False,
    },
    "CanI": _record("kind allowed", kind={"const": "CanI"}, allowed={"type": "boolean"}),
}

DISCOVER: Final = Contract(answers={200: Answer("All resources.", "ResourceList")}, schemas=_SCHEMAS)
EXPLAIN: Final = Contract(
    query={"path": {**QUERY_TEXT, "description": "A field to explain, like `spec.traffic`."}},
    answers={200: Answer("Its fields.", "Explanation")},
    schemas=_SCHEMAS,
)
WHO_AM_I: Final = Contract(answers={200: Answer("The caller.", "WhoAmI")}, schemas=_SCHEMAS)
CAN_I: Final = Contract(body="Question", answers={200: Answer("Whether.", "CanI")}, schemas=_SCHEMAS)
