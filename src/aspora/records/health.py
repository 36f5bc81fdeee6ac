"""The numbers behind the health of skills, and which revisions still have work. Read when asked for, stored nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.meta.errors import API_VERSION
from aspora.meta.objects import rfc3339

_queries = Queries.load("aspora.records", "health.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillHealth:
    """How a skill's executions that ended in a window went.

    Attributes:
        p50_ms: Of those that succeeded, from acceptance to end; None when none did.
        p95_ms: Likewise.
        cost_micro_usd: Of all.
        last_failed_at: None when none failed.
    """

    domain: str
    skill: str
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    cost_micro_usd: int = 0
    last_failed_at: datetime | None = None

    def to_wire(self, *, window_seconds: int) -> dict[str, Any]:
        """As the API shows it; absent values are left out."""
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "SkillHealth",
            "metadata": {"name": self.skill, "domain": self.domain},
            "windowSeconds": window_seconds,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "p50Ms": self.p50_ms,
            "p95Ms": self.p95_ms,
            "costMicroUsd": self.cost_micro_usd,
            "lastFailedAt": None if self.last_failed_at is None else rfc3339(self.last_failed_at),
        }
        return {name: value for name, value in body.items() if value is not None}


class Healths:
    """Counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, since: datetime) -> Mapping[tuple[str, str], SkillHealth]:
        """By domain and skill, all that had an execution end since then; one aggregate query."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "count_ended", since=since)
        return {(row["domain"], row["skill"]): _health(row) for row in rows}

    async def revisions_in_use(self, domain: str, skill: str) -> list[str]:
        """The skill's revisions with executions that are not over, by name."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "revisions_in_use", domain=domain, skill=skill)
        return sorted(row["revision"] for row in rows)


def _health(row: Row) -> SkillHealth:
    p50, p95 = row["percentiles_ms"] or (None, None)
    return SkillHealth(
        domain=row["domain"],
        skill=row["skill"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        cancelled=row["cancelled"],
        p50_ms=p50,
        p95_ms=p95,
        cost_micro_usd=row["cost_micro_usd"],
        last_failed_at=row["last_failed_at"],
    )
