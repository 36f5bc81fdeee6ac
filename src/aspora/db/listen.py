"""Wake-ups from PostgreSQL's NOTIFY: one connection listens, everybody who waits is woken, many wake-ups become one.

A wake-up is a hint and carries nothing: look at the tables. It may be lost while the connection is down, which is why
everyone is woken after each reconnect, and why callers wait with a timeout and probe.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import AsyncConnection, sql

from aspora.db.failures import translated
from aspora.db.pool import Connection, Row, connection_parameters
from aspora.kit.backoff import Backoff
from aspora.kit.supervise import run_until, wait_for_event
from aspora.meta.errors import StatusError

_log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 30.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_BACKOFF = Backoff(base_seconds=0.1, max_seconds=5.0)


class Subscription:
    """One waiter's memory of a channel: a wake-up between two waits is not lost.

    Args:
        event: What a wake-up sets; None: one of its own.
    """

    def __init__(self, event: asyncio.Event | None = None) -> None:
        self._event = event or asyncio.Event()

    def wake(self) -> None:
        """Let the present or the next `wait` return."""
        self._event.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait at most so long; True when woken since the last call, False when only time has passed."""
        woken = await wait_for_event(self._event, timeout_seconds)
        self._event.clear()
        return woken


class Listener:
    """Listens on a fixed set of channels for as long as `run` runs.

    Args:
        dsn: Where to listen. It must be a direct connection: a pooler in transaction mode loses LISTEN.
        channels: Names as in `NOTIFY name`.
    """

    def __init__(
        self,
        dsn: str,
        channels: Sequence[str],
        *,
        backoff: Backoff = _BACKOFF,
        heartbeat_seconds: float = _HEARTBEAT_SECONDS,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._dsn = dsn
        self._subscriptions: Mapping[str, set[Subscription]] = {channel: set() for channel in channels}
        self._backoff = backoff
        self._heartbeat_seconds = heartbeat_seconds
        self._rand = rand
        self._connected = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """True while the connection listens; waits still work without it, by their timeout."""
        return self._connected.is_set()

    async def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait until the connection listens; False when it does not in time."""
        return await wait_for_event(self._connected, timeout_seconds)

    @contextmanager
    def subscribe(self, channel: str, *, wakes: asyncio.Event | None = None) -> Generator[Subscription]:
        """Be woken by a channel inside this block.

        Args:
            channel: Which.
            wakes: Set by each wake-up, for who waits for other things too.

        Raises:
            ValueError: The listener was not made for this channel.
        """
        waiting = self._subscriptions.get(channel)
        if waiting is None:
            raise ValueError(f"unknown channel {channel!r}; known: {', '.join(self._subscriptions)}")
        subscription = Subscription(wakes)
        waiting.add(subscription)
        try:
            yield subscription
        finally:
            waiting.discard(subscription)

    async def wait(self, channel: str, timeout_seconds: float) -> bool:
        """Wait for one wake-up from now on; loops that must not miss one between two waits use `subscribe`."""
        with self.subscribe(channel) as subscription:
            return await subscription.wait(timeout_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, connecting again whenever the connection is lost."""
        await run_until(stop, self._keep_listening())

    async def _keep_listening(self) -> None:
        attempt = 0
        while True:
            try:
                with translated():
                    await self._listen_once()
            except StatusError as error:
                attempt = 0 if self._connected.is_set() else attempt + 1
                _log.warning("database notifications interrupted", extra={"cause": error.message, "attempt": attempt})
            finally:
                self._connected.clear()
            await asyncio.sleep(self._backoff.delay_seconds(attempt, rand=self._rand))

    async def _listen_once(self) -> None:
        """Listen until the connection fails, which raises."""
        parameters = connection_parameters(
            self._dsn,
            application_name="aspora-listen",
            statement_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )
        async with await Connection.connect(autocommit=True, **parameters) as connection:
            for channel in self._subscriptions:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            self._connected.set()
            self._wake_all()
            while True:
                async for notice in connection.notifies(timeout=self._heartbeat_seconds):
                    self._wake(notice.channel)
                await self._heartbeat(connection)

    async def _heartbeat(self, connection: AsyncConnection[Row]) -> None:
        """A server that vanished without a word is noticed by asking."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                await connection.execute("select 1")
        except TimeoutError:
            raise psycopg.OperationalError("no answer to the heartbeat") from None

    def _wake(self, channel: str) -> None:
        for subscription in self._subscriptions.get(channel, ()):
            subscription.wake()

    def _wake_all(self) -> None:
        for channel in self._subscriptions:
            self._wake(channel)
