"""A pool of connections: one statement at a time, one transaction, or one transaction with retries.

Connections are in autocommit mode, so a lone statement costs one round trip; rows are dicts; a Python dict goes in as
`jsonb`. A connection that the server closed is replaced before anybody gets it.
"""

import asyncio
import logging
import os
import select
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import JsonbDumper
from psycopg_pool import AsyncConnectionPool

from aspora.db.failures import RETRY_AFTER_SECONDS, ConnectionLost, OutcomeUnknown, SerializationConflict, translated
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Invalid, Unavailable

_log = logging.getLogger(__name__)

T = TypeVar("T")

_WAIT_INTERVAL_SECONDS = 0.1
_CANCEL_SECONDS = 1.0
"""For the server to stop a statement that was cancelled; then the connection is given up."""

_ANSWER_MARGIN_SECONDS = 5.0
"""What a server that is well may need over the statement timeout to say that it has run out."""


class Connection(AsyncConnection[DictRow]):
    """A connection whose rows are dicts, and on which nobody waits for ever.

    The server's own statement timeout says nothing when the server hangs or the network swallows its answer, and a peer
    that acknowledges what it never passes on defeats TCP's keepalives.
    """

    answer_seconds: float | None = None
    """For the answer to one statement; None for no limit."""

    async def wait(
        self, gen: PQGen[T], interval: float = _WAIT_INTERVAL_SECONDS, timeout: float | None = None
    ) -> T:  # fmt: skip
        """Wait for the server's answer, but not for longer than `answer_seconds`."""
        limit = asyncio.timeout(self.answer_seconds)
        try:
            async with limit:
                return await super().wait(gen, interval, timeout)
        except TimeoutError:
            if not limit.expired():
                raise
            # What the server may still say on this connection is nobody's any more.
            await self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s") from None

    async def _try_cancel(self, *, timeout: float = _CANCEL_SECONDS) -> None:
        """Ask the server to stop a statement that nobody waits for; hang up when it does not.

        Raises:
            Error: It could not be asked in time; the caller, psycopg's own `wait`, closes the connection then.
        """
        await self.cancel_safe(timeout=min(timeout, _CANCEL_SECONDS))
        asyncio.get_running_loop().call_later(_CANCEL_SECONDS, self._hang_up_if_active)

    def _hang_up_if_active(self) -> None:
        if self.closed or self.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
            return
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as held, suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)


Row = DictRow
"""One row: column name to value."""

OLDEST_SERVER_VERSION = 15
_IDLE_IN_TRANSACTION_SECONDS = 60
# The pool's delays double; giving up early lets the next caller try at once when a server is back after minutes.
_RECONNECT_SECONDS = 3.0
_RETRY_BACKOFF = Backoff(base_seconds=0.005, max_seconds=0.25, jitter_ratio=0.5)
# Our statements are written for this level, whatever the server's or the role's default is. Last, so that it wins.
_ISOLATION = r"-c default_transaction_isolation=read\ committed"
KEEPALIVE: dict[str, int] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class Database:
    """The one way to PostgreSQL. Make it with `Database.open`, close it with `close` or `async with`."""

    def __init__(self, pool: AsyncConnectionPool[Connection], *, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._pool = pool
        self._sleep = sleep

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 16,
        acquire_timeout_seconds: float = 10.0,
        statement_timeout_seconds: float = 30.0,
        application_name: str = "aspora",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> Self:
        """Connect, check the server's version and fill the pool to `min_size`.

        Args:
            dsn: A PostgreSQL URI or key/value string; its own settings win over Aspora's.
            acquire_timeout_seconds: How long a caller waits for a free connection.
            statement_timeout_seconds: The server cancels any statement that runs longer; 0 means never.

        Raises:
            Invalid: The DSN can't be read.
            Unavailable: The server can't be reached, refuses us, or is too old.
        """
        parameters = connection_parameters(
            dsn,
            application_name=application_name,
            statement_timeout_seconds=statement_timeout_seconds,
            connect_timeout_seconds=acquire_timeout_seconds,
        )
        await _check_server(parameters)
        pool = AsyncConnectionPool(
            "",
            connection_class=Connection,
            kwargs={**parameters, "autocommit": True, "row_factory": dict_row, "context": _adapters()},
            min_size=min_size,
            max_size=max_size,
            timeout=acquire_timeout_seconds,
            configure=_limited_to(statement_timeout_seconds),
            check=_check_alive,
            reconnect_timeout=_RECONNECT_SECONDS,
            reconnect_failed=_tell_unreachable,
            open=False,
        )
        with translated():
            await pool.open(wait=True, timeout=acquire_timeout_seconds)
        return cls(pool, sleep=sleep)

    async def close(self) -> None:
        """Close every connection; callers still waiting for one get `Unavailable`."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Borrow a connection; each statement on it commits by itself.

        Raises:
            Unavailable: No connection in time, or the server went away.
            Timeout: A statement ran over the statement timeout.
        """
        with translated():
            connection = await self._borrow()
            try:
                yield connection
            finally:
                await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Borrow a connection inside one transaction: commits at the end, rolls back when the block raises.

        Raises:
            ConnectionLost: The server went away before the commit: nothing was saved.
            OutcomeUnknown: The server went away during the commit.
            SerializationConflict: A deadlock or serialization failure; see `run_transaction`.
        """
        committing = False
        try:
            async with self.connection() as connection, connection.transaction():
                yield connection
                committing = True
        except ConnectionLost as error:
            if not committing:
                raise
            raise OutcomeUnknown(
                f"{error.message}; whether the last change was saved is unknown",
                retry_after_seconds=error.retry_after_seconds,
            ) from error

    async def _borrow(self) -> Connection:
        """A connection of the pool, to be put back; a cancellation that the pool swallowed is raised again.

        Until Python 3.12, `asyncio.wait_for` drops a cancellation that comes at the moment its future is done: here,
        when a caller who waits in the pool's queue is handed a connection.
        """
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        connection = await self._pool.getconn()
        if task and task.cancelling() > before:
            await self._pool.putconn(connection)
            raise asyncio.CancelledError
        return connection

    async def run_transaction(self, work: Callable[[Connection], Awaitable[T]], *, attempts: int = 5) -> T:
        """Run `work` in a transaction, again from the start when it was surely rolled back for no fault of its own.

        That is after a serialization failure, a deadlock, or a connection lost before the commit was sent. `work` may
        thus run several times and must keep its effects inside the transaction.

        Raises:
            Conflict: Still colliding after `attempts` tries.
            Unavailable: The server stays away, or went away during a commit (`OutcomeUnknown`).
        """
        for attempt in range(attempts - 1):
            try:
                async with self.transaction() as connection:
                    return await work(connection)
            except (SerializationConflict, ConnectionLost):
                await self._sleep(_RETRY_BACKOFF.delay_seconds(attempt))
        async with self.transaction() as connection:
            return await work(connection)

    async def ping(self, *, timeout_seconds: float = 1.0) -> None:
        """One round trip to the server.

        Raises:
            Unavailable: No answer within `timeout_seconds`.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self.connection() as connection:
                await connection.execute("select 1")
        except TimeoutError:
            raise Unavailable(
                f"the database did not answer within {timeout_seconds:g} s; see that it is up and not overloaded"
            ) from None


def connection_parameters(
    dsn: str, *, application_name: str, statement_timeout_seconds: float, connect_timeout_seconds: float
) -> dict[str, Any]:
    """What every Aspora connection asks of libpq; what the DSN says itself wins, but for the isolation level.

    Raises:
        Invalid: The DSN can't be read. The message does not repeat it, since it may hold a password.
    """
    try:
        own = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise Invalid(
            "ASPORA_DATABASE_URL can't be read; write postgresql://user:password@host:5432/database"
            " or host=… dbname=… user=…"
        ) from None
    settings = {
        "statement_timeout": round(statement_timeout_seconds * 1000),
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_SECONDS * 1000,
        "timezone": "UTC",
    }
    options = [*(f"-c {name}={value}" for name, value in settings.items()), str(own.get("options") or ""), _ISOLATION]
    return {
        "connect_timeout": max(2, round(connect_timeout_seconds)),
        **KEEPALIVE,
        **own,
        # By this name a restore knows who else is at work here, whatever the DSN says.
        "application_name": application_name,
        "options": " ".join(option for option in options if option),
    }


def target_of(parameters: dict[str, Any]) -> str:
    """Where a connection goes, fit for a message: never the password."""
    place = f"{parameters.get('host') or 'local socket'}{':' if parameters.get('port') else ''}"
    user = f" as {parameters['user']}" if parameters.get("user") else ""
    return f"{place}{parameters.get('port') or ''}/{parameters.get('dbname') or ''}{user}"


async def _check_server(parameters: dict[str, Any]) -> None:
    """Connect once outside the pool: the pool reports a bad password or host as nothing but a timeout."""
    place = target_of(parameters)
    try:
        async with await AsyncConnection.connect(autocommit=True, **parameters) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as error:
        told = error.diag.message_primary or str(error).strip().partition("\n")[0] or "it does not say why"
        raise ConnectionLost(
            f"the database {place!r} can't be reached: {told}; see that it is up and that ASPORA_DATABASE_URL names it,"
            " with a user and password that it takes",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        ) from error
    if version < OLDEST_SERVER_VERSION:
        raise Unavailable(f"PostgreSQL {version} at {place!r} is too old; use {OLDEST_SERVER_VERSION} or newer")


def _limited_to(statement_timeout_seconds: float) -> Callable[[Connection], Awaitable[None]]:
    async def configure(connection: Connection) -> None:
        if statement_timeout_seconds:
            connection.answer_seconds = statement_timeout_seconds + _ANSWER_MARGIN_SECONDS

    return configure


async def _check_alive(connection: Connection) -> None:
    """Ask the server only when its socket has something to say: an idle healthy one is silent."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    if poller.poll(0):
        await connection.execute("")


def _tell_unreachable(pool: AsyncConnectionPool[Any]) -> None:
    _log.warning("database stays out of reach", extra={"seconds": pool.reconnect_timeout})


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(dict, JsonbDumper)
    return adapters
