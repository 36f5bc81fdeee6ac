"""What the steps of durable executions gave, so that a rerun need not do them again."""

from collections.abc import Mapping
from typing import Any

from aspora.db.pool import Database
from aspora.db.queries import Queries
from aspora.records.fence import Fenced, fence_of
from aspora.records.jsontext import encode_leniently
from aspora.records.rows import Claim

_queries = Queries.load("aspora.records", "steps.sql")


class Steps:
    """All that is done to rows of `execution_steps`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, claim: Claim, key: str) -> Mapping[str, Any] | None:
        """What the step gave, to this attempt or to one before; None when it was never done."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "get_step", id=claim.id, day=claim.day, key=key)
        return None if row is None else row["outcome"]

    async def keep(self, claim: Claim, key: str, outcome: Mapping[str, Any]) -> None:
        """Keep what the step gave. What is kept stays: keeping it again after a lost answer does no harm.

        Args:
            outcome: A JSON object.

        Raises:
            Fenced: The execution is not the claim's any more.
        """
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(
                connection, "keep_step", **fence_of(claim), key=key, outcome=encode_leniently(outcome)
            )
        if row is None:
            raise Fenced(claim.id, claim.owner)
