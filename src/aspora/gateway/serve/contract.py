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


def _said(description: str, schema: Schema = _TEXT) -> Schema:
    """A schema with what it means."""
    return {**schema, "description": description}


def _record(required: str, /, **properties: Schema) -> dict[str, Any]:
    """An object with the named fields required; a later release may add fields."""
    return {"type": "object", "required": required.split(), "properties": properties}


def _closed(**properties: Schema) -> Schema:
    """An object in which all is optional and nothing else is taken."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _kind(name: str, **parts: Schema) -> Schema:
    heads: dict[str, Schema] = {
        "apiVersion": _said("The version of this form.", {"const": API_VERSION}),
        "kind": _said("What it is.", {"const": name}),
    }
    return _record(" ".join([*heads, *parts]), **heads, **parts)


def _list_of(name: str) -> Schema:
    metadata = _record("", **{"continue": _TEXT})
    return _kind(f"{name}List", metadata=metadata, items={"type": "array", "items": reference(name)})


_INPUT = _closed(
    userMessage={**_TEXT, "description": "What the person said."},
    userId={**_TEXT, "maxLength": MAX_TEXT_CHARACTERS, "description": "Who; keeps them on one revision."},
    metadata={**_ANYTHING, "description": "The skill's arguments."},
)
_TRIGGER = _record("type", type=_said("Such as api, cli or cron."))

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
    skill=_said("The skill's name, in the execution's domain."),
    revision=_said("The revision that runs, as the Route or the request chose it."),
    environment=_said("Whose Route chose: production or staging."),
    input=_said("What the skill was asked.", _INPUT),
    inputRef=_said("Digest of the input that was put aside for its size (lists leave it there)."),
    caller=_said("Who asked for it."),
    trigger=_said("What asked for it.", _TRIGGER),
    deadline=_said("When it is ended if it has not ended by itself.", _INSTANT),
    **{
        "class": _said(
            "inline runs once while its caller waits; durable survives crashes.",
            {"enum": list(get_args(ExecutionClass))},
        )
    },
)

_STATUS = _record(
    "state attempt costMicroUsd inputTokens outputTokens stages",
    state=_said("Where it stands; Succeeded, Failed and Cancelled are its end.", {"enum": list(get_args(State))}),
    reason=_said("CamelCase; absent for a success."),
    message=_said("Why it failed or was cancelled, for people."),
    result=_said("success, message, data, confidence.", _ANYTHING),
    resultRef=_said("Digest of the result that was put aside for its size (lists leave it there)."),
    node=_said("Who runs it, or ran it last."),
    attempt=_said("How often it was begun.", _COUNT),
    driver=_said("The sandbox that the handler ran in."),
    cancelRequestedAt=_said("When somebody told it to end.", _INSTANT),
    startedAt=_said("When it was begun.", _INSTANT),
    finishedAt=_said("When it ended.", _INSTANT),
    durationMs=_said("From its acceptance to its end.", _MILLISECONDS),
    costMicroUsd=_said("What its model calls cost, in millionths of a dollar.", _COUNT),
    inputTokens=_said("Tokens that models read.", _COUNT),
    outputTokens=_said("Tokens that models wrote.", _COUNT),
    stages=_said("Milliseconds of each stage.", {"type": "object", "additionalProperties": _MILLISECONDS}),
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "RunRequest": _RUN_REQUEST,
    "Execution": _said(
        "One run of a skill: what it was asked, where it stands and what came out.",
        _kind(
            "Execution",
            metadata=_said(
                "Which one it is.",
                _record(
                    "name domain creationTimestamp",
                    name=_said("Its id, EXEC-…"),
                    domain=_said("The skill's domain."),
                    creationTimestamp=_said("When it was accepted.", _INSTANT),
                ),
            ),
            spec=_said("What is to run.", _SPEC),
            status=_said("What became of it.", _STATUS),
        ),
    ),
    "ExecutionList": _list_of("Execution"),
    "ExecutionEvent": _record("at type attempt data", at=_INSTANT, type=_TEXT, attempt=_COUNT, data=_ANYTHING),
    "Node": _said(
        "A process that takes executions, and whether it is alive.",
        _kind(
            "Node",
            metadata=_said(
                "Which one it is.",
                _record(
                    "name creationTimestamp",
                    name=_said("Its name, made anew at each start."),
                    creationTimestamp=_said("When it joined.", _INSTANT),
                ),
            ),
            spec=_said(
                "What the process is.",
                _record(
                    "role host pid version",
                    role=_said("What it does, such as executor."),
                    host=_said("The machine it runs on."),
                    pid=_said("Its process there.", _COUNT),
                    version=_said("Its release of Aspora."),
                ),
            ),
            status=_said(
                "Whether it is alive.",
                _record(
                    "state epoch classes leaseExpiresAt",
                    state=_said(
                        "Lost when its lease ran out, so that others took its work.",
                        {"enum": ["Alive", "Stopped", "Lost"]},
                    ),
                    epoch=_said("Greater than that of every node before.", _COUNT),
                    classes=_said(
                        "The classes of executions it takes.",
                        {"type": "array", "items": {"enum": list(get_args(ExecutionClass))}},
                    ),
                    leaseExpiresAt=_said("When it counts as lost unless it renews its lease.", _INSTANT),
                    stoppedAt=_said("When it ended of its own accord.", _INSTANT),
                ),
            ),
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
