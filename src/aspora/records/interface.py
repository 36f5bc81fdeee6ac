"""The port by which an accepted execution gets its run."""

from typing import Protocol

from aspora.db.pool import Connection
from aspora.meta.names import ExecutionId


class ExecutionStarter(Protocol):
    """Starts durable executions; inline ones need no start, an executor finds their rows."""

    async def start(self, connection: Connection, execution: ExecutionId) -> None:
        """Make sure that a durable execution will run, in the transaction that records it.

        Raises:
            Unavailable: Nothing is there yet that could keep the promise.
        """
        ...
