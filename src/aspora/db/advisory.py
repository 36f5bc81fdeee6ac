"""Leadership in PostgreSQL: a session lock on a connection of its own, and an epoch that only ever grows.

The server ends the session when it hears nothing for the lease, whatever became of the holder (killed, stopped, cut
off), and the lock is free. The holder counts the same lease from the moment it last asked, so it stops before that.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from psycopg.rows import dict_row

from aspora.db.advisory_keys import LockKey
from aspora.db.failures import translated
from aspora.db.pool import Connection, connection_parameters
from aspora.db.queries import Queries
from aspora.kit.supervise import uninterrupted
from aspora.meta.errors import Conflict, Unavailable

LEASE_SECONDS = 6.0
_TRY_SECONDS = 0.5
_CONNECT_TIMEOUT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0

_queries = Queries.load("aspora.db", "advisory.sql")


class PostgresTerm:
    """A held lock with its epoch; see `aspora.reconcile.leader.Term`."""

    def __init__(self, connection: Connection, *, name: str, epoch: int, asked_at: float, lease_seconds: float) -> None:
        self._connection = connection
        self._name = name
        self.epoch = epoch
        self.asked_at = asked_at
        self.lease_seconds = lease_seconds

    async def renew(self) -> None:
        """Show a sign of life.

        Raises:
            Conflict: Another leader has begun.
            Unavailable: The session is lost, or the server does not answer.
        """
        asked_at = asyncio.get_running_loop().time()
        with _answered(self._name):
            async with asyncio.timeout(self.lease_seconds):
                renewed = await _queries.execute(self._connection, "renew_epoch", leader=self._name, epoch=self.epoch)
        if not renewed:
            raise Conflict(
                f"epoch {self.epoch} of {self._name!r} is over: another process leads by now; nothing needs to be done"
            )
        self.asked_at = asked_at

    async def release(self) -> None:
        """End the session, and with it the lock."""
        await uninterrupted(self._connection.close())


class PostgresLeaderLock:
    """One name's lock; see `aspora.reconcile.leader.LeaderLock`.

    Args:
        dsn: A direct connection: a pooler in transaction mode has no sessions.
        name: What is led, e.g. `controllers`.
        holder: Who, for people to read.
        lease_seconds: How long a silent leader keeps the lock.
    """

    def __init__(self, dsn: str, *, name: str, holder: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self.name = name
        self._dsn = dsn
        self._holder = holder
        self._lease_seconds = lease_seconds

    async def acquire(self) -> PostgresTerm:
        """Wait until the lock is ours and begin an epoch.

        Raises:
            Unavailable: The server can't be reached.
        """
        with _answered(self.name):
            connection = await self._connect()
            try:
                await self._prepare(connection)
                while not await self._try(connection):  # noqa: ASYNC110 - another session's lock has no event
                    await asyncio.sleep(_TRY_SECONDS)
                async with asyncio.timeout(self._lease_seconds):
                    asked_at = asyncio.get_running_loop().time()
                    epoch: int = await self._ask(connection, "begin_epoch", leader=self.name, holder=self._holder)
            except BaseException:
                await uninterrupted(connection.close())
                raise
        return PostgresTerm(
            connection, name=self.name, epoch=epoch, asked_at=asked_at, lease_seconds=self._lease_seconds
        )

    async def _connect(self) -> Connection:
        parameters = connection_parameters(
            self._dsn,
            application_name=f"aspora-leader-{self.name}",
            statement_timeout_seconds=_ANSWER_SECONDS,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )
        return await Connection.connect(autocommit=True, row_factory=dict_row, **parameters)

    async def _prepare(self, connection: Connection) -> None:
        """Before the lock is asked for: it may be ours from that moment, and we may be stopped in the next."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._ask(connection, "end_when_silent", milliseconds=str(round(self._lease_seconds * 1000)))

    async def _try(self, connection: Connection) -> bool:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await self._ask(connection, "try_to_lead", key=LockKey.LEADER.of(self.name))

    async def _ask(self, connection: Connection, query: str, **parameters: Any) -> Any:
        return await _queries.fetch_value(connection, query, **parameters)


@contextmanager
def _answered(name: str) -> Generator[None]:
    """A server that says nothing in time is as good as away."""
    with translated():
        try:
            yield
        except TimeoutError:
            raise Unavailable(
                f"the database did not answer in time about who leads {name!r}; see that it is up and not overloaded"
            ) from None
