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


def _said(description: str, schema: Schema = _TEXT) -> Schema:
    """A schema with what it means."""
    return {**schema, "description": description}


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


_API_VERSION = _said("The version of this form.", {"const": API_VERSION})
_UID = _said("Its identity: a later object of the same name has another.")
_REGARDING = _record(
    "kind name",
    kind=_said("The kind, as in manifests.", _CAMEL),
    name=_said("The object's name."),
    domain=_said("Its domain; absent for a cluster-wide object."),
    uid=_UID,
)
_TYPE: Schema = {"enum": ["Normal", "Warning"], "default": "Normal"}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Event": _said(
        "What happened to an object, for people; the same happening again raises its count.",
        _record(
            "apiVersion kind metadata regarding reason message type reportingController count firstTimestamp"
            " lastTimestamp",
            apiVersion=_API_VERSION,
            kind=_said("What it is.", {"const": "Event"}),
            metadata=_said(
                "Which one it is.",
                _record(
                    "name creationTimestamp",
                    name=_said("Its name."),
                    domain=_said("Of the object; absent for a cluster-wide one."),
                    creationTimestamp=_said("When it was first told.", _INSTANT),
                    resourceVersion=_said("Where it stands among the changes; a watch goes on from there."),
                ),
            ),
            regarding=_said("The object that it happened to.", _REGARDING),
            reason=_said("What happened, in one CamelCase word."),
            message=_said("What happened, for people."),
            type=_said("Warning for what somebody should look at.", _TYPE),
            reportingController=_said("Who told it."),
            count=_said("How often it happened.", {"type": "integer", "minimum": 1}),
            firstTimestamp=_said("When it happened first.", _INSTANT),
            lastTimestamp=_said("When it happened last.", _INSTANT),
        ),
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
    "AuditEvent": _said(
        "Who wrote what, or was refused.",
        _record(
            "apiVersion kind metadata regarding caller verb outcome",
            apiVersion=_API_VERSION,
            kind=_said("What it is.", {"const": "AuditEvent"}),
            metadata=_said(
                "Which one it is.",
                _record(
                    "name creationTimestamp",
                    name=_said("Its number."),
                    creationTimestamp=_said("When it was asked.", _INSTANT),
                ),
            ),
            regarding=_said(
                "What was to be written.",
                _record(
                    "kind",
                    kind=_said("The kind, as in manifests."),
                    name=_said("The object's name."),
                    domain=_said("Its domain; absent for a cluster-wide object."),
                    uid=_UID,
                ),
            ),
            caller=_said("As whom it was asked."),
            impersonatedBy=_said("Who really called."),
            key=_said("Id of the API key they came with."),
            verb=_said("What was to be done: create, update, patch, delete …"),
            resourceVersion=_said("Of the object after the write."),
            requestId=_said("Of the request, as in the log and in the answer's X-Request-Id."),
            remote=_said("The address it came from."),
            outcome=_said("Accepted, Unchanged, or the reason of the refusal."),
        ),
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
