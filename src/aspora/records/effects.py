"""The effect journal: a host call's intent is kept before it goes out, its result after.

A finished effect answers a rerun from the journal. A write that was begun and never finished is in doubt: it is
repeated only when it carries an idempotency key, else the execution ends as `EffectInDoubt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict
from aspora.meta.names import ExecutionId
from aspora.records.jsontext import encode

_queries = Queries.load("aspora.records", "effects.sql")


@dataclass(frozen=True, slots=True)
class EffectKey:
    """Names one effect of one execution.

    Attributes:
        arguments_digest: SHA-256 over the canonical JSON of the arguments.
        occurrence: 0 for the first call with these arguments, 1 for the second, …
    """

    execution: ExecutionId
    connector: str
    operation: str
    arguments_digest: str
    occurrence: int

    def __str__(self) -> str:
        return f"effect {self.connector}.{self.operation} of {self.execution}"

    def parameters(self) -> dict[str, Any]:
        """As the queries want it."""
        return {
            "execution_id": self.execution,
            "connector": self.connector,
            "operation": self.operation,
            "arguments_digest": self.arguments_digest,
            "occurrence": self.occurrence,
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """The effect was finished before: this is its result."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Go:
    """The intent is kept: make the call, then `finish` it."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An earlier attempt may or may not have had its effect; it must not be repeated."""


class Effects:
    """All that is done to rows of `effects`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, key: EffectKey, *, idempotent: bool, owner_epoch: int) -> Recorded | Go | InDoubt:
        """Keep the intent, or say what is known from before.

        Args:
            idempotent: Repeating the call does no harm: it only reads, or carries an idempotency key.
            owner_epoch: Epoch of the calling node; a later attempt's is greater.

        Raises:
            Conflict: The effect was deleted meanwhile.
        """
        async with self._database.transaction() as connection:
            parts = key.parameters()
            if await _queries.fetch_one(
                connection, "begin_effect", **parts, idempotent=idempotent, owner_epoch=owner_epoch
            ):
                return Go()
            row = await _queries.fetch_one(connection, "get_effect", **parts)
            if row is None:
                raise Conflict(f"{key} was deleted while it was looked up; its execution can't go on")
            if row["state"] == "done":
                return Recorded(row["result"])
            if await _queries.fetch_one(connection, "retry_effect", **parts, owner_epoch=owner_epoch):
                return Go()
            await _queries.fetch_one(connection, "doubt_effect", **parts)
            return InDoubt()

    async def finish(self, key: EffectKey, result: Mapping[str, Any], *, owner_epoch: int) -> None:
        """Keep the result.

        Raises:
            Conflict: The effect is another node's by now, or was never begun.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection, "finish_effect", **key.parameters(), result=encode(result), owner_epoch=owner_epoch
            )
        if row is None:
            raise Conflict(f"{key} is not this node's to finish")
