"""From a request to a recorded execution: choose the revision and the class, then one transaction."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aspora.access.authorize import authorize, domains_allowed, no_such_domain
from aspora.access.interface import Caller, ObjectReader
from aspora.apis.skill_class import execution_class
from aspora.artifacts.interface import ArtifactStore
from aspora.db.pool import Connection, Database
from aspora.gateway.origin import INSIDE, Origin
from aspora.gateway.serve.run_request import RunRequest
from aspora.kit.clock import Clock
from aspora.meta.errors import Internal
from aspora.meta.names import ExecutionId
from aspora.records import idempotency
from aspora.records.executions import Executions, WrongDay
from aspora.records.idempotency import KeyOwner
from aspora.records.ids import execution_id
from aspora.records.interface import ExecutionStarter
from aspora.records.rows import NewExecution
from aspora.records.state import ExecutionClass
from aspora.records.wakeups import PENDING, QUEUED, Wakeups
from aspora.routing.resolve import Target, resolve

PLURAL: Final = "executions"
MAX_ROW_INPUT_BYTES: Final = 64 * 1024
"""Larger inputs go to the object store, and the row names them."""

INLINE_QUEUE_SECONDS: Final = 30
"""How long an inline execution may wait for an executor, beyond its own timeout."""

DURABLE_QUEUE_SECONDS: Final = 24 * 3600

_ID_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Order:
    """A request to run a skill, as it came.

    Attributes:
        key: The idempotency key; None for none.
        waits: Somebody waits for the answer.
        began: The clock's monotonic instant of its arrival.
        origin: Where it comes from, for the audit.
    """

    caller: Caller
    domain: str
    skill: str
    request: RunRequest
    key: str | None
    waits: bool
    began: float
    origin: Origin = INSIDE


@dataclass(frozen=True, slots=True)
class Accepted:
    """The execution a request is answered by; `is_new` is False when its key had made it before."""

    id: ExecutionId
    is_new: bool


class _IdTaken(Exception):
    """Another execution has the id: a transaction that has tied a key to it must not be committed."""


class Acceptance:
    """Accepts executions.

    Args:
        starter: Starts durable ones, inside the transaction.
        entropy: Gives so many random bits.
    """

    def __init__(
        self,
        *,
        database: Database,
        executions: Executions,
        reader: ObjectReader,
        blobs: ArtifactStore,
        starter: ExecutionStarter,
        wakeups: Wakeups,
        clock: Clock,
        entropy: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._database = database
        self._executions = executions
        self._reader = reader
        self._blobs = blobs
        self._starter = starter
        self._wakeups = wakeups
        self._clock = clock
        self._entropy = entropy

    async def accept(self, order: Order) -> Accepted:
        """Check, choose, record.

        Raises:
            NotFound: No such domain, skill or revision, or none the caller may see.
            Forbidden: The caller may not run skills there.
            Unavailable: No revision serves the skill, or durable executions can't be taken yet.
            Conflict: The idempotency key came before with another body.
        """
        target = await self._choose(order)
        chosen: ExecutionClass = "durable" if self._is_durable(order, target) else "inline"
        input_ref = await self._put_aside(order.request)
        clock_is_behind = timedelta(0)
        for _ in range(_ID_TRIES):
            new = self._new(order, target, chosen, input_ref, now=self._clock.now() + clock_is_behind)
            try:
                accepted = await self._record(order, new)
            except WrongDay as error:
                # Ids carry the database's day, for a row's partition goes by it.
                clock_is_behind = error.at - self._clock.now()
            except _IdTaken:
                pass
            else:
                if accepted.is_new:
                    self._wakeups.send(PENDING if chosen == "inline" else QUEUED)
                return accepted
        raise Internal("no free execution id was found; try again")

    async def _choose(self, order: Order) -> Target:
        authorize(order.caller, "create", PLURAL, order.domain)
        if await self._reader.get("Domain", order.domain) is None:
            raise no_such_domain(order.domain)
        return await resolve(
            self._reader,
            domain=order.domain,
            skill=order.skill,
            environment=order.request.environment,
            user=str(order.request.input.get("userId") or order.caller.name),
            pinned=order.request.revision,
            seen_domains=domains_allowed(order.caller, "list", "skills"),
        )

    @staticmethod
    def _is_durable(order: Order, target: Target) -> bool:
        """Inline is for a waiting caller alone: what nobody waits for must not be lost."""
        return order.request.durable or not order.waits or execution_class(target.skill_spec).name == "durable"

    async def _put_aside(self, request: RunRequest) -> str | None:
        """Store a large input as a blob; its digest, or None when the row holds the input."""
        data = request.input_text.encode()
        return None if len(data) <= MAX_ROW_INPUT_BYTES else await self._blobs.put(data)

    def _new(
        self, order: Order, target: Target, chosen: ExecutionClass, input_ref: str | None, *, now: datetime
    ) -> NewExecution:
        timeout_seconds: int = target.skill_spec.get("runtime", {}).get("timeoutSeconds", 30)
        queue_seconds = INLINE_QUEUE_SECONDS if chosen == "inline" else DURABLE_QUEUE_SECONDS
        return NewExecution(
            id=execution_id(now, entropy=self._entropy(32)),
            domain=order.domain,
            skill=order.skill,
            revision=target.revision,
            environment=order.request.environment,
            execution_class=chosen,
            input=order.request.input if input_ref is None else None,
            input_ref=input_ref,
            caller=order.caller.name,
            trigger=order.request.trigger,
            created_at=now,
            deadline=now + timedelta(seconds=timeout_seconds + queue_seconds),
            audit=order.origin.act(order.caller, "create").to_wire(),
            stages={"gateway": round((self._clock.monotonic() - order.began) * 1000, 1)},
        )

    async def _record(self, order: Order, new: NewExecution) -> Accepted:
        """Write the row, its key and its start in one transaction.

        Raises:
            _IdTaken: By another execution; nothing was written.
        """
        if order.key is None and new.execution_class == "inline":
            async with self._database.connection() as connection:  # one statement is a transaction by itself
                return await self._insert(connection, new)

        async def work(connection: Connection) -> Accepted:
            if order.key is not None:
                owner = KeyOwner(order.caller.name, order.domain, order.skill, order.key)
                digest = order.request.digest()
                first = await idempotency.take(connection, owner, body_digest=digest, execution=new.id)
                if first != new.id:
                    return Accepted(first, is_new=False)
            accepted = await self._insert(connection, new)
            if new.execution_class == "durable":
                await self._starter.start(connection, new.id)
            return accepted

        return await self._database.run_transaction(work)

    async def _insert(self, connection: Connection, new: NewExecution) -> Accepted:
        if not await self._executions.insert(connection, new):
            raise _IdTaken
        return Accepted(new.id, is_new=True)
