"""The executions table: accept, claim, finish, cancel, reap, read. The SQL holds the guards of `state.TRANSITIONS`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aspora.db.pool import Connection, Database, Row
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict, NotFound
from aspora.meta.names import ExecutionId
from aspora.meta.objects import rfc3339
from aspora.records.fence import Fenced, fence_of
from aspora.records.ids import day_of, days_of_prefix
from aspora.records.jsontext import encode, encode_leniently, storable_text
from aspora.records.rows import Claim, Ending, ExecutionEvent, ModelCall, NewExecution, Owner
from aspora.records.state import ExecutionClass, State, is_terminal

_queries = Queries.load("aspora.records", "executions.sql")
STAGES = ("gateway", "record", "artifact", "process", "model", "finish")
"""Stages of an execution in the order they happen: accepted; written, and waiting to be claimed; revision, files and
input at hand; `process` for handlers, `model` for agents; the end written."""

_MAX_CANDIDATES = 10
_MAX_SWEPT = 500
_LATE_SECONDS = 30.0
"""How long after its deadline a node may take to write an execution's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Which executions to list, newest first.

    Attributes:
        domains: Only these; None for all.
        skill: Only this skill's; None for all.
        states: Only in these states; None for all.
        since: Only those created at or after; None for all.
        before: Continue after this row of the page before: its creation time and id.
    """

    domains: Sequence[str] | None = None
    skill: str | None = None
    states: Sequence[State] | None = None
    since: datetime | None = None
    before: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """An execution that a sweep moved, and where to."""

    id: ExecutionId
    state: State


class WrongDay(Conflict):
    """The day inside an execution's id is not the database's: whoever made the id has a clock that is off.

    Attributes:
        at: The present instant by the database.
    """

    def __init__(self, execution: ExecutionId, at: datetime) -> None:
        super().__init__(
            f"execution {execution} can't begin on another day than {rfc3339(at)}: a clock is off;"
            " set the gateway's right"
        )
        self.at = at


class Executions:
    """All that is done to rows of `executions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, connection: Connection, new: NewExecution, *, any_day: bool = False) -> bool:
        """Record an accepted execution and its first event; False when the id is taken already.

        Args:
            connection: Maybe in a transaction.
            new: What was accepted.
            any_day: The id's day may lie anywhere: for what is no work to be claimed.

        Raises:
            WrongDay: The id is of another day than yesterday, today and tomorrow; nothing was written.
        """
        event: dict[str, Any] = {"skill": new.skill, "revision": new.revision, "class": new.execution_class}
        row = await _queries.fetch_one(
            connection,
            "insert_execution",
            id=new.id,
            day=day_of(new.id),
            domain=new.domain,
            skill=new.skill,
            revision=new.revision,
            environment=new.environment,
            **{"class": new.execution_class},
            input=None if new.input is None else encode(new.input),
            input_ref=new.input_ref,
            caller=new.caller,
            trigger=encode(new.trigger),
            allowed_seconds=(new.deadline - new.created_at).total_seconds(),
            stages=encode(new.stages),
            event=encode({**event, "caller": new.caller}),
            audit=_audited(new.audit, new.id, new.domain),
            any_day=any_day,
        )
        if row is None and not any_day:
            at: datetime = await _queries.fetch_value(connection, "present_instant")
            if abs(day_of(new.id) - at.astimezone(UTC).date()) > timedelta(days=1):
                raise WrongDay(new.id, at)
        return row is not None

    async def claim_inline(self, owner: Owner, *, limit: int) -> list[Claim]:
        """Take up to `limit` waiting inline executions, oldest first; no two claimants ever get the same one."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "claim_inline", node=owner.node, epoch=owner.epoch, limit=limit)
        return sorted((_claim(row, owner) for row in rows), key=lambda c: c.created_at)

    async def claim_durable(self, execution: ExecutionId, owner: Owner) -> Claim | None:
        """Take a durable execution, from whoever had it; None when it has ended, is gone or was never durable.

        Raises:
            Fenced: The node's own lease has ended.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "claim_durable",
                id=execution,
                day=day_of(execution),
                node=owner.node,
                epoch=owner.epoch,
            )
        if row is not None:
            return _claim(row, owner)
        if await self.is_open(execution, "durable"):
            raise Fenced(execution, owner)
        return None

    async def is_open(self, execution: str, execution_class: ExecutionClass) -> bool:
        """Whether there is such an execution of that class, and it has not ended."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "get_execution", id=execution, day=day_of(execution))
        return row is not None and row["class"] == execution_class and not is_terminal(row["state"])

    async def finish(self, claim: Claim, ending: Ending, events: Sequence[ExecutionEvent]) -> bool:
        """Write the end with the last events, and a `Finished` event after them.

        Returns:
            False when the claim is fenced: another attempt has begun, the execution was ended, or the node's lease has.
        """
        last = ExecutionEvent(ending.finished_at, "Finished", {"state": ending.state, "reason": ending.reason})
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "finish_execution",
                **fence_of(claim),
                state=ending.state,
                reason=ending.reason,
                message=storable_text(ending.message),
                result=None if ending.result is None else encode(ending.result),
                result_ref=ending.result_ref,
                driver=ending.driver,
                stages=encode(ending.stages),
                finished_at=ending.finished_at,
                events=_events_json([*events, last]),
            )
        return row is not None

    async def release(self, claim: Claim) -> bool:
        """Give an inline execution back to the queue; False when it isn't the claim's any more."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "release_execution", **fence_of(claim))
        return row is not None

    async def reap_lost(self) -> list[Swept]:
        """Requeue, fail or cancel what lost nodes were running."""
        return await self._sweep("reap_lost")

    async def expire_pending(self) -> list[Swept]:
        """Fail what nobody took before its deadline."""
        return await self._sweep("expire_pending")

    async def expire_running(self, *, margin_seconds: float = _LATE_SECONDS) -> list[Swept]:
        """End inline executions whose living node has written no end long after the deadline."""
        return await self._sweep("expire_running", margin_seconds=margin_seconds)

    async def _sweep(
        self, query: Literal["reap_lost", "expire_pending", "expire_running"], **parameters: float
    ) -> list[Swept]:
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, query, limit=_MAX_SWEPT, **parameters)
        return [Swept(ExecutionId(row["id"]), row["state"]) for row in rows]

    async def request_cancel(
        self, execution: str, *, domain: str, caller: str, audit: Mapping[str, Any] | None = None
    ) -> State | None:
        """Ask for its end; the state after asking, or None when it has ended already or does not exist.

        Args:
            execution: Its id.
            domain: Where it must be.
            caller: Who asks, for its events.
            audit: Who asks, in the words of `aspora.audit`, kept in the same transaction; None to keep nothing.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "request_cancel",
                id=execution,
                day=day_of(execution),
                domain=domain,
                caller=caller,
                audit=_audited(audit, execution, domain),
            )
        return None if row is None else row["state"]

    async def cancel_requested(self, owner: Owner) -> list[ExecutionId]:
        """What this node runs and somebody wants ended."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "cancel_requested", node=owner.node)
        return [ExecutionId(row["id"]) for row in rows]

    async def get(self, execution: str, *, domain: str | None = None) -> Row:
        """One row; with `domain` only from there.

        Raises:
            NotFound: No such execution.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "get_execution", id=execution, day=day_of(execution))
        if row is None or (domain is not None and row["domain"] != domain):
            raise NotFound(
                f"execution {execution!r} not found"
                + (f" in domain {domain!r}" if domain else "")
                + "; 'aspora get executions' lists"
                " them"
            )
        return row

    async def resolve(self, prefix: str, *, domains: Sequence[str] | None) -> Row:
        """The one execution whose id begins like this.

        Raises:
            BadRequest: No id begins like this.
            NotFound: None does.
            Conflict: Several do; the message lists some.
        """
        first_day, last_day = days_of_prefix(prefix)
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(
                connection,
                "with_prefix",
                prefix=prefix,
                first_day=first_day,
                last_day=last_day,
                domains=None if domains is None else list(domains),
                limit=_MAX_CANDIDATES + 1,
            )
        if not rows:
            raise NotFound(f"no execution's id begins with {prefix!r}; 'aspora get executions' lists them")
        if len(rows) > 1:
            raise Conflict(f"several executions begin with {prefix!r}: {_candidates(rows)}; write more of the id")
        return rows[0]

    async def page(self, wanted: ListFilter, *, limit: int) -> list[Row]:
        """Rows, newest first."""
        before, before_id = wanted.before or (None, None)
        async with self._database.connection() as connection:
            return await _queries.fetch_all(
                connection,
                "list_executions",
                domains=None if wanted.domains is None else list(wanted.domains),
                skill=wanted.skill,
                states=None if wanted.states is None else list(wanted.states),
                since=wanted.since,
                before=before,
                before_id=before_id,
                limit=limit,
            )

    async def ended_among(self, executions: Sequence[ExecutionId]) -> list[Row]:
        """The rows of those that have ended."""
        days = sorted({day_of(e) for e in executions})
        async with self._database.connection() as connection:
            return await _queries.fetch_all(connection, "ended_among", ids=list(executions), days=days)

    async def record_model_call(self, claim: Claim, call: ModelCall) -> None:
        """Keep one model call and add it to the execution's totals; one that a fenced attempt made is marked."""
        async with self._database.connection() as connection:
            await _queries.execute(
                connection,
                "record_model_call",
                id=claim.id,
                day=claim.day,
                attempt=claim.attempt,
                node=claim.owner.node,
                epoch=claim.owner.epoch,
                at=call.at,
                alias=storable_text(call.alias),
                provider=call.provider,
                upstream=storable_text(call.upstream),
                outcome=call.outcome,
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
                cost_micro_usd=call.cost_micro_usd,
                cost_source=call.cost_source,
                duration_ms=call.duration_ms,
            )

    async def model_calls(self, execution: str) -> list[Row]:
        """The model calls of an execution, in order."""
        async with self._database.connection() as connection:
            return await _queries.fetch_all(connection, "list_model_calls", id=execution, day=day_of(execution))


def _audited(act: Mapping[str, Any] | None, execution: str, domain: str) -> str | None:
    """An act on an execution as `aspora_audit` takes it."""
    about = {"kind": "Execution", "domain": domain, "name": execution}
    return None if act is None else encode({**act, **about})


def _events_json(events: Sequence[ExecutionEvent]) -> str:
    return encode_leniently([{"at": e.at.isoformat(), "type": e.type, "data": e.data} for e in events])


def _candidates(rows: Sequence[Row]) -> str:
    shown = [f"{row['id']} ({row['skill']})" for row in rows[:_MAX_CANDIDATES]]
    return ", ".join(shown) + (" and more" if len(rows) > _MAX_CANDIDATES else "")


def _claim(row: Mapping[str, Any], owner: Owner) -> Claim:
    return Claim(
        id=ExecutionId(row["id"]),
        day=row["day"],
        domain=row["domain"],
        skill=row["skill"],
        revision=row["revision"],
        environment=row["environment"],
        execution_class=row["class"],
        input=row["input"],
        input_ref=row["input_ref"],
        caller=row["caller"],
        trigger=row["trigger"],
        created_at=row["created_at"],
        deadline=row["deadline"],
        owner=owner,
        attempt=row["attempt"],
        cancel_requested=row["cancel_requested_at"] is not None,
        spent_micro_usd=row["cost_micro_usd"],
        queued_ms=max(0.0, row["queued_ms"]),
    )


def execution_wire(row: Mapping[str, Any]) -> dict[str, Any]:
    """An execution's row in its wire form; absent values are left out."""
    spec = {
        "skill": row["skill"],
        "revision": row["revision"],
        "environment": row["environment"],
        "class": row["class"],
        "input": row["input"],
        "inputRef": row["input_ref"],
        "caller": row["caller"],
        "trigger": row["trigger"],
        "deadline": rfc3339(row["deadline"]),
    }
    return {
        "apiVersion": "aspora.dev/v1",
        "kind": "Execution",
        "metadata": {
            "name": row["id"],
            "domain": row["domain"],
            "creationTimestamp": rfc3339(row["created_at"]),
        },
        "spec": {k: v for k, v in spec.items() if v is not None},
        "status": {k: v for k, v in _status(row).items() if v is not None},
    }


def _status(row: Mapping[str, Any]) -> dict[str, Any]:
    started, finished = row["started_at"], row["finished_at"]
    return {
        "state": row["state"],
        "reason": row["reason"] or None,
        "message": row["message"] or None,
        "result": row["result"],
        "resultRef": row["result_ref"],
        "node": row["owner_node"],
        "attempt": row["attempt"],
        "driver": row["driver"] or None,
        "cancelRequestedAt": _time(row["cancel_requested_at"]),
        "startedAt": _time(started),
        "finishedAt": _time(finished),
        "durationMs": None if finished is None else round((finished - row["created_at"]).total_seconds() * 1000, 1),
        "costMicroUsd": row["cost_micro_usd"],
        "inputTokens": row["input_tokens"],
        "outputTokens": row["output_tokens"],
        "stages": {name: row["stages"][name] for name in sorted(row["stages"], key=_stage_order)},
    }


def _stage_order(name: str) -> tuple[int, str]:
    return (STAGES.index(name) if name in STAGES else len(STAGES), name)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
