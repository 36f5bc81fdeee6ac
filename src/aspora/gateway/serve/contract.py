"""The published form of executions, their events and nodes: what goes in and what comes out."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from aspora.gateway.contract import QUERY_TEXT, Answer, Contract, Schema, reference
from aspora.gateway.http import NDJSON_TYPE
from aspora.gateway.serve.run_request import ENVIRONMENTS, MAX_TEXT_CHARACTERS
from aspora.meta.errors import API_VERSION
from aspora.records.state import ExecutionClass, State

MAX_WAIT_SECONDS: Final = 60
MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100

_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MILLISECONDS: Schema = {"type": "number", "minimum": 0}
_ANYTHING: Schema = {"type": "object"}


def _record(required: str, /, **properties: Schema) -> dict[str, Any]:
    """An object with the named fields required; a later release may add fields."""
    return {"type": "object", "required": required.split(), "properties": properties}


def _closed(**properties: Schema) -> Schema:
    """An object in which all is optional and nothing else is taken."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _kind(name: str, **parts: Schema) -> Schema:
    heads: dict[str, Schema] = {"apiVersion": {"const": API_VERSION}, "kind": {"const": name}}
    return _record(" ".join([*heads, *parts]), **heads, **parts)


def _list_of(name: str) -> Schema:
    metadata = _record("", **{"continue": _TEXT})
    return _kind(f"{name}List", metadata=metadata, items={"type": "array", "items": reference(name)})


_INPUT = _closed(
    userMessage={**_TEXT, "description": "What the person said."},
    userId={**_TEXT, "maxLength": MAX_TEXT_CHARACTERS, "description": "Who; keeps them on one revision."},
    metadata={**_ANYTHING, "description": "The skill's arguments."},
)
_TRIGGER = _record("type", type=_TEXT)

_RUN_REQUEST = _closed(
    input=_INPUT,
    environment={"enum": list(ENVIRONMENTS), "default": ENVIRONMENTS[0]},
    revision={
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": MAX_TEXT_CHARACTERS,
        "description": "This revision instead of the Route's choice.",
    },
    durable={"enum": [True, None], "description": "`true` raises the class; it is never lowered."},
    trigger={**_TRIGGER, "default": {"type": "api"}},
)

_SPEC = _record(
    "skill revision environment class caller trigger deadline",
    skill=_TEXT,
    revision=_TEXT,
    environment=_TEXT,
    input=_INPUT,
    inputRef={**_TEXT, "description": "Digest of the input that was put aside for its size (lists leave it there)."},
    caller=_TEXT,
    trigger=_TRIGGER,
    deadline=_INSTANT,
    **{"class": {"enum": list(get_args(ExecutionClass))}},
)

_STATUS = _record(
    "state attempt costMicroUsd inputTokens outputTokens stages",
    state={"enum": list(get_args(State))},
    reason={**_TEXT, "description": "CamelCase; absent for a success."},
    message=_TEXT,
    result={**_ANYTHING, "description": "success, message, data, confidence."},
    resultRef={**_TEXT, "description": "Digest of the result that was put aside for its size (lists leave it there)."},
    node={**_TEXT, "description": "Who runs it, or ran it last."},
    attempt=_COUNT,
    driver={**_TEXT, "description": "The sandbox that the handler ran in."},
    cancelRequestedAt=_INSTANT,
    startedAt=_INSTANT,
    finishedAt=_INSTANT,
    durationMs={**_MILLISECONDS, "description": "From its acceptance to its end."},
    costMicroUsd=_COUNT,
    inputTokens=_COUNT,
    outputTokens=_COUNT,
    stages={"type": "object", "additionalProperties": _MILLISECONDS},
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "RunRequest": _RUN_REQUEST,
    "Execution": _kind(
        "Execution",
        metadata=_record("name domain creationTimestamp", name=_TEXT, domain=_TEXT, creationTimestamp=_INSTANT),
        spec=_SPEC,
        status=_STATUS,
    ),
    "ExecutionList": _list_of("Execution"),
    "ExecutionEvent": _record("at type attempt data", at=_INSTANT, type=_TEXT, attempt=_COUNT, data=_ANYTHING),
    "Node": _kind(
        "Node",
        metadata=_record("name creationTimestamp", name=_TEXT, creationTimestamp=_INSTANT),
        spec=_record("role host pid version", role=_TEXT, host=_TEXT, pid=_COUNT, version=_TEXT),
        status=_record(
            "state epoch classes leaseExpiresAt",
            state={"enum": ["Alive", "Stopped", "Lost"]},
            epoch=_COUNT,
            classes={"type": "array", "items": {"enum": list(get_args(ExecutionClass))}},
            leaseExpiresAt=_INSTANT,
            stoppedAt=_INSTANT,
        ),
    ),
    "NodeList": _list_of("Node"),
}
"""By name, as `/openapi.json` has them."""

_WAIT: Mapping[str, Schema] = {
    "wait": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_WAIT_SECONDS,
        "default": 0,
        "description": "Seconds to wait for the end.",
    }
}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
_STATES = "|".join(get_args(State))
_LIST_QUERY: Mapping[str, Schema] = {
    "skill": {**QUERY_TEXT, "description": "Of this skill alone."},
    "state": {
        "type": "string",
        "pattern": f"^({_STATES})(,({_STATES}))*$",
        "description": "Some states, with commas between.",
    },
    "since": {**_INSTANT, "description": "Accepted at this instant or later."},
    "limit": _LIMIT,
    "continue": {**QUERY_TEXT, "description": "From the page before."},
}
_FOLLOW: Mapping[str, Schema] = {
    "follow": {"type": "boolean", "default": False, "description": "Go on until the execution has ended."}
}
_KEY: Mapping[str, Schema] = {
    "Idempotency-Key": {
        "type": "string",
        "pattern": "^[!-~]{1,255}$",
        "description": "The same key, caller and skill make one execution within 24 h.",
    }
}

RUN: Final = Contract(
    query=_WAIT,
    headers=_KEY,
    body="RunRequest",
    answers={
        200: Answer("The execution that this idempotency key made before.", "Execution"),
        201: Answer("A new execution, which has ended.", "Execution"),
        202: Answer("A new execution, which has not ended yet.", "Execution"),
    },
    schemas=SCHEMAS,
)
LIST: Final = Contract(query=_LIST_QUERY, answers={200: Answer("A page.", "ExecutionList")}, schemas=SCHEMAS)
GET: Final = Contract(answers={200: Answer("The execution.", "Execution")}, schemas=SCHEMAS)
EVENTS: Final = Contract(
    query=_FOLLOW,
    answers={200: Answer("One event a line.", "ExecutionEvent", NDJSON_TYPE)},
    schemas=SCHEMAS,
)
CANCEL: Final = Contract(
    query=_WAIT,
    answers={
        200: Answer("It has ended.", "Execution"),
        202: Answer("It has been told to end.", "Execution"),
    },
    schemas=SCHEMAS,
)
LIST_NODES: Final = Contract(query={"limit": _LIMIT}, answers={200: Answer("All.", "NodeList")}, schemas=SCHEMAS)
GET_NODE: Final = Contract(answers={200: Answer("The node.", "Node")}, schemas=SCHEMAS)
