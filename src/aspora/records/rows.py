"""What goes into and comes out of the tables, typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from aspora.meta.names import ExecutionId, NodeId
from aspora.records.state import ExecutionClass, State

Json = Any
"""A JSON value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """An execution that has been accepted and is to be recorded.

    Attributes:
        input: The wire input; None when `input_ref` names the blob that holds it.
        created_at: By the clock of whoever accepted it, like the day inside its id.
        deadline: When it must have ended, waiting in the queue included; by the same clock. The row gets the database's
            instants: its present one, and as much later as `deadline` is after `created_at`.
        stages: Milliseconds spent so far by stage.
        audit: Who wants it, in the words of `aspora.audit`, kept in the same transaction; None to keep nothing.
    """

    id: ExecutionId
    domain: str
    skill: str
    revision: str
    environment: str
    execution_class: ExecutionClass
    input: Mapping[str, Json] | None
    input_ref: str | None
    caller: str
    trigger: Mapping[str, Json]
    created_at: datetime
    deadline: datetime
    stages: Mapping[str, float]
    audit: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A node in one of its lives."""

    node: NodeId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one execution, held by one node: what the executor needs, and its fence.

    Attributes:
        attempt: Counts from 1; the final update is refused when another attempt has begun.
        cancel_requested: The cancellation came while nobody ran it.
        spent_micro_usd: What its earlier attempts spent on models.
        queued_ms: From its creation to this claim.
    """

    id: ExecutionId
    day: date
    domain: str
    skill: str
    revision: str
    environment: str
    execution_class: ExecutionClass
    input: Mapping[str, Json] | None
    input_ref: str | None
    caller: str
    trigger: Mapping[str, Json]
    created_at: datetime
    deadline: datetime
    owner: Owner
    attempt: int
    cancel_requested: bool
    spent_micro_usd: int
    queued_ms: float


@dataclass(frozen=True, slots=True)
class ExecutionEvent:
    """Something that happened in an execution, as the writer saw it."""

    at: datetime
    type: str
    data: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an execution ended.

    Attributes:
        state: One of the terminal states.
        reason: CamelCase, empty for a success.
        result: The handler's result; None when there is none or `result_ref` names the blob that holds it.
        stages: Milliseconds by stage, added to those already stored; the database adds `finish`, from `finished_at` on.
    """

    state: State
    finished_at: datetime
    reason: str = ""
    message: str = ""
    result: Mapping[str, Json] | None = None
    result_ref: str | None = None
    driver: str = ""
    stages: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request to a model, as it was paid for; tokens and cost are None where nobody knows them.

    Attributes:
        alias: The name the skill asked for.
        upstream: The provider's name of the model that answered.
        outcome: `ok`, or what went wrong.
        cost_source: Where the cost comes from, e.g. `upstream`, `prices`.
    """

    at: datetime
    alias: str
    provider: str
    upstream: str
    outcome: str
    input_tokens: int | None
    output_tokens: int | None
    cost_micro_usd: int | None
    cost_source: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the events of an execution: the writer's transaction, then the row."""

    xid: int
    id: int


START = Cursor(0, 0)
"""Before the first event."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is kept."""

    cursor: Cursor
    attempt: int
    at: datetime
    type: str
    data: Mapping[str, Json]
