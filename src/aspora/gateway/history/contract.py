"""The published form of events and audit rows."""

from collections.abc import Mapping
from typing import Any, Final

from aspora.gateway.contract import QUERY_TEXT, WATCH_QUERY, Answer, Contract, Schema, reference
from aspora.gateway.history.told_event import MAX_MESSAGE_CHARACTERS, MAX_WORD_CHARACTERS
from aspora.meta.errors import API_VERSION, Expired

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100

_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
_WORD: Schema = {**_TEXT, "minLength": 1, "maxLength": MAX_WORD_CHARACTERS}
_CAMEL: Schema = {**_WORD, "pattern": "^[A-Z][A-Za-z0-9]*$"}


def _record(required: str, /, **properties: Schema) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _list_of(name: str, **metadata: Schema) -> Schema:
    return _record(
        "apiVersion kind metadata items",
        apiVersion={"const": API_VERSION},
        kind={"const": f"{name}List"},
        metadata=_record("", **metadata, **{"continue": _TEXT}),
        items={"type": "array", "items": reference(name)},
    )


_REGARDING = _record("kind name", kind=_CAMEL, name=_TEXT, domain=_TEXT, uid=_TEXT)
_TYPE: Schema = {"enum": ["Normal", "Warning"], "default": "Normal"}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Event": _record(
        "apiVersion kind metadata regarding reason message type reportingController count firstTimestamp lastTimestamp",
        apiVersion={"const": API_VERSION},
        kind={"const": "Event"},
        metadata=_record(
            "name creationTimestamp", name=_TEXT, domain=_TEXT, creationTimestamp=_INSTANT, resourceVersion=_TEXT
        ),
        regarding=_REGARDING,
        reason=_TEXT,
        message=_TEXT,
        type=_TYPE,
        reportingController=_TEXT,
        count={"type": "integer", "minimum": 1},
        firstTimestamp=_INSTANT,
        lastTimestamp=_INSTANT,
    ),
    "ToldEvent": _record(
        "regarding reason reportingController",
        kind={"const": "Event"},
        regarding=_REGARDING,
        reason=_CAMEL,
        message={**_TEXT, "maxLength": MAX_MESSAGE_CHARACTERS},
        type=_TYPE,
        reportingController=_WORD,
    ),
    "EventList": _list_of("Event", resourceVersion=_TEXT),
    "AuditEvent": _record(
        "apiVersion kind metadata regarding caller verb outcome",
        apiVersion={"const": API_VERSION},
        kind={"const": "AuditEvent"},
        metadata=_record("name creationTimestamp", name=_TEXT, creationTimestamp=_INSTANT),
        regarding=_record("kind", kind=_TEXT, name=_TEXT, domain=_TEXT, uid=_TEXT),
        caller=_TEXT,
        impersonatedBy={**_TEXT, "description": "Who really called."},
        key={**_TEXT, "description": "Id of the API key they came with."},
        verb=_TEXT,
        resourceVersion={**_TEXT, "description": "Of the object after the write."},
        requestId=_TEXT,
        remote=_TEXT,
        outcome={**_TEXT, "description": "Accepted, Unchanged, or the reason of the refusal."},
    ),
    "AuditEventList": _list_of("AuditEvent"),
}
"""By name, as `/openapi.json` has them."""

TELL: Final = Contract(
    body="ToldEvent",
    answers={
        200: Answer("It repeats an event of the last ten minutes, whose count it raised.", "Event"),
        201: Answer("A new event.", "Event"),
    },
    schemas=SCHEMAS,
)
LIST_EVENTS: Final = Contract(
    query={
        "fieldSelector": {
            **QUERY_TEXT,
            "description": "As `regarding.name=x,type=Warning`; also regarding.kind, regarding.uid, reason and"
            " reportingController.",
        },
        "limit": _LIMIT,
        "continue": {**QUERY_TEXT, "description": "From the page before."},
        **WATCH_QUERY,
    },
    answers={200: Answer("A page, latest first.", "EventList", may_stream=True)},
    errors=(Expired,),
    schemas=SCHEMAS,
)
LIST_AUDIT: Final = Contract(
    query={
        "who": {**QUERY_TEXT, "description": "As whom, or who really called."},
        "verb": QUERY_TEXT,
        "kind": {**QUERY_TEXT, "description": "As in manifests."},
        "domain": {**QUERY_TEXT, "description": "Only what happened there."},
        "name": {**QUERY_TEXT, "description": "Of the object."},
        "since": {**_INSTANT, "description": "At this instant or later."},
        "limit": _LIMIT,
        "continue": {**QUERY_TEXT, "description": "From the page before."},
    },
    answers={200: Answer("A page, newest first.", "AuditEventList")},
    schemas=SCHEMAS,
)
