"""Idempotency keys: the same request sent twice is one execution.

Source: the Idempotency-Key header field, draft-ietf-httpapi-idempotency-key-header.
"""

from dataclasses import dataclass

from aspora.db.pool import Connection
from aspora.db.queries import Queries
from aspora.meta.errors import Conflict
from aspora.meta.names import ExecutionId

_queries = Queries.load("aspora.records", "idempotency.sql")
KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Whose key it is: one caller's, for one skill."""

    caller: str
    domain: str
    skill: str
    key: str


async def take(connection: Connection, owner: KeyOwner, *, body_digest: str, execution: ExecutionId) -> ExecutionId:
    """Tie the key to an execution, inside the transaction that records it.

    Returns:
        The execution the key belongs to: the given one when the key was free, else that of the first request.

    Raises:
        Conflict: The key came before with another body.
    """
    parts = {"caller": owner.caller, "domain": owner.domain, "skill": owner.skill, "key": owner.key}
    taken = await _queries.fetch_one(
        connection, "take_key", **parts, body_digest=body_digest, execution_id=execution, ttl_seconds=KEPT_SECONDS
    )
    if taken is not None:
        return execution
    row = await _queries.fetch_one(connection, "get_key", **parts)
    if row is None:
        raise Conflict(f"idempotency key {owner.key[:80]!r} expired this very moment; send the request again")
    if row["body_digest"] != body_digest:
        raise Conflict(
            f"idempotency key {owner.key[:80]!r} was used for another request of {owner.domain}/{owner.skill} "
            f"({row['execution_id']}); use a new key, or send the same body"
        )
    return ExecutionId(row["execution_id"])


async def forget_expired(connection: Connection) -> int:
    """Delete keys that ran out; how many there were."""
    return await _queries.execute(connection, "forget_expired_keys")
