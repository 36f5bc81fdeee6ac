"""The audit's rows: refusals kept in batches, and all of them read."""

import asyncio
import json
from collections import deque
from typing import Any, Final

from aspora.audit.interface import AuditFilter, Refusal
from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.kit.supervise import flush_when_told
from aspora.meta.errors import API_VERSION, StatusError
from aspora.meta.objects import rfc3339
from aspora.telemetry.logs import get_logger

_queries = Queries.load("aspora.audit", "audit.sql")
_log = get_logger(__name__)
_BATCH: Final = 200
MAX_WAITING: Final = 2000
"""Refusals that may wait for the database; a flood beyond that is counted in the log alone."""


class Audit:
    """All that is done to rows of `audit_events`, but for those made with a write; `run` must be running."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Refusal] = deque()
        self._any = asyncio.Event()
        self._lost = 0

    def refused(self, refusal: Refusal) -> None:
        """Keep it soon, as well as can be; never fails."""
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            return
        self._waiting.append(refusal)
        self._any.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep what is told until told to stop, and then the rest."""
        await flush_when_told(self._any, self.flush, stop)

    async def flush(self) -> None:
        """Keep all that waits; when the database can't be reached it is lost, and the log says how much."""
        while self._waiting or self._lost:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            lost, self._lost = self._lost, 0
            try:
                async with self._database.connection() as connection:
                    await _queries.fetch_all(connection, "keep", entries=_text(batch))
            except StatusError as error:
                _log.warning("refusals not audited", count=len(batch) + lost, reason=error.reason)
                continue
            if lost:
                _log.warning("refusals not audited", count=lost, reason="TooMany")

    async def page(self, wanted: AuditFilter, *, limit: int) -> list[Row]:
        """Rows, newest first."""
        before, before_id = wanted.before or (None, None)
        async with self._database.connection() as connection:
            return await _queries.fetch_all(
                connection,
                "list_rows",
                caller=wanted.caller,
                verb=wanted.verb,
                kind=wanted.kind,
                domains=None if wanted.domains is None else list(wanted.domains),
                name=wanted.name,
                since=wanted.since,
                before=before,
                before_id=before_id,
                limit=limit,
            )


def _text(batch: list[Refusal]) -> str:
    return json.dumps([refusal.to_wire() for refusal in batch], ensure_ascii=False)


_WIRE: Final = {
    "caller": "caller",
    "impersonatedBy": "impersonated_by",
    "key": "key",
    "verb": "verb",
    "resourceVersion": "resource_version",
    "requestId": "request_id",
    "remote": "remote",
    "outcome": "outcome",
}


def audit_wire(row: Row) -> dict[str, Any]:
    """A row in its wire form; what is empty is left out."""
    about = {"kind": row["kind"], "domain": row["domain"], "name": row["name"], "uid": row["uid"]}
    said = {name: row[column] for name, column in _WIRE.items() if row[column]}
    return {
        "apiVersion": API_VERSION,
        "kind": "AuditEvent",
        "metadata": {"name": str(row["id"]), "creationTimestamp": rfc3339(row["at"])},
        "regarding": {name: value for name, value in about.items() if value},
        **said,
    }
