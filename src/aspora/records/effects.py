"""The effect journal: a host call's intent is kept before it goes out, its end after.

A finished effect answers a rerun from the journal. A write that was begun and never finished is in doubt: it is
repeated only when it carries an idempotency key, else the execution ends as `EffectInDoubt`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.records.fence import Fenced, fence_of
from aspora.records.ids import day_of
from aspora.records.jsontext import encode_leniently
from aspora.records.rows import Claim

_queries = Queries.load("aspora.records", "effects.sql")


@dataclass(frozen=True, slots=True)
class EffectKey:
    """Names one effect within its execution.

    Attributes:
        arguments_digest: See `arguments_digest`.
        occurrence: 0 for the first call with these arguments, 1 for the second, …
    """

    connector: str
    operation: str
    arguments_digest: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.connector}.{self.operation}"


@dataclass(frozen=True, slots=True)
class EffectEnd:
    """How a call that is over came out: exactly one of these is set, or none for a result of null.

    Attributes:
        result: The JSON value.
        result_ref: Digest of the blob that holds it.
        failure: `reason` and `message` of a call that surely did nothing more.
    """

    result: Any = None
    result_ref: str | None = None
    failure: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The effect was finished before, and so."""

    end: EffectEnd


@dataclass(frozen=True, slots=True)
class Go:
    """The intent is kept: make the call, then `finish` it."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An earlier attempt may or may not have had its effect; it must not be repeated."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """A write of which nobody knows whether it had its effect, and the attempt that made it."""

    connector: str
    operation: str
    attempt: int


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of the arguments: keys sorted, no spaces, everything in ASCII.

    Raises:
        ValueError: They are not JSON: NaN or infinity.
    """
    text = json.dumps(arguments, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Effects:
    """All that is done to rows of `effects`. Each change raises `Fenced` when the claim's word counts no more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, claim: Claim, key: EffectKey, *, is_write: bool, idempotent: bool) -> Recorded | Go | InDoubt:
        """Keep the intent, or say what is known from before. Asking again after a lost answer does no harm.

        Args:
            is_write: It may change something.
            idempotent: Repeating the call does no harm: it only reads, or carries an idempotency key.
        """
        parameters = {**fence_of(claim), **_names(key)}
        async with self._database.connection() as connection:
            first = await _queries.fetch_one(
                connection, "begin_effect", **parameters, is_write=is_write, idempotent=idempotent
            )
            if first is None or not first["owned"]:
                raise Fenced(claim.id, claim.owner)
            if first["begun"]:
                return Go()
            row = await _queries.fetch_one(connection, "get_effect", **_without_fence(parameters))
            if row is not None and row["state"] == "done":
                return Recorded(EffectEnd(row["result"], row["result_ref"], row["failure"]))
            if row is not None and not row["idempotent"] and row["attempt"] != claim.attempt:
                return InDoubt()
            if await _queries.fetch_one(connection, "retry_effect", **parameters) is None:
                raise Fenced(claim.id, claim.owner)
            return Go()

    async def finish(self, claim: Claim, key: EffectKey, end: EffectEnd) -> None:
        """Keep the end of a call."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection,
                "finish_effect",
                **fence_of(claim),
                **_names(key),
                result=None if end.failure or end.result_ref else encode_leniently(end.result),
                result_ref=end.result_ref,
                failure=encode_leniently(end.failure) if end.failure else None,
            )
        if row is None:
            raise Fenced(claim.id, claim.owner)

    async def doubt(self, claim: Claim, *, up_to_attempt: int) -> list[Doubted]:
        """Mark the writes that no attempt up to that one has ended and nobody may repeat; all of them, old ones too."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "doubt_effects", **fence_of(claim), last_attempt=up_to_attempt)
        if not rows:
            raise Fenced(claim.id, claim.owner)
        return [Doubted(r["connector"], r["operation"], r["attempt"]) for r in rows if r["connector"] is not None]

    async def of(self, execution: str) -> list[Row]:
        """The effects of an execution in the order they were begun."""
        async with self._database.connection() as connection:
            return await _queries.fetch_all(connection, "list_effects", id=execution, day=day_of(execution))


def _names(key: EffectKey) -> dict[str, Any]:
    return {
        "connector": key.connector,
        "operation": key.operation,
        "arguments_digest": key.arguments_digest,
        "occurrence": key.occurrence,
    }


def _without_fence(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in {"node", "epoch", "attempt"}}
