"""Starting a durable execution: one SQL call inside the transaction that records it. No dbos import here.

`WORKFLOW`, `QUEUE` and `APPLICATION` name what `executor.durable` registers. `PROTOCOL_VERSION` changes when a change
of code makes the steps of a begun execution unreadable: executors of one version leave those of another alone.
"""

from typing import Final

import psycopg

from aspora.db.pool import Connection
from aspora.db.queries import Queries
from aspora.meta.errors import Unavailable
from aspora.meta.names import ExecutionId

APPLICATION: Final = "aspora"
SCHEMA: Final = "dbos"
"""Where the workflow engine keeps its own tables."""

WORKFLOW: Final = "aspora_execution"
QUEUE: Final = "aspora_executions"
PROTOCOL_VERSION: Final = "1"
"""Not raised when steps moved to a table of ours (migration 0010, ADR 0012): a begun execution stays readable, and only
does some steps again. A new number would have stranded it: neither the queue nor the recovery of one version touches
work of another, so with the last old executor gone it would wait for its deadline, as would what gateways of the old
release go on enqueueing during an upgrade."""

_queries = Queries.load("aspora.executor", "starter.sql")


class DurableStarter:
    """The `ExecutionStarter` of durable executions."""

    async def start(self, connection: Connection, execution: ExecutionId) -> None:
        """Put the execution's workflow into the queue.

        Raises:
            Unavailable: No executor has set the queue up in this database yet.
        """
        try:
            await _queries.execute(
                connection,
                "enqueue",
                workflow=WORKFLOW,
                queue=QUEUE,
                version=PROTOCOL_VERSION,
                application=APPLICATION,
                id=execution,
            )
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
            raise Unavailable(
                "durable executions can't be taken yet: no executor has been ready for them in this database; look at "
                "'aspora get nodes' and try again",
                retry_after_seconds=2,
            ) from None
