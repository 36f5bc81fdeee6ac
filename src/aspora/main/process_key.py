"""The API key by which a process of its own talks to a gateway: made in the database, renewed, taken back at the end.

Whoever holds the database's password is trusted with a key, so nobody has to hand one around. It is made through the
object door's own write path, as a gateway would make it.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from aspora.access.keys import mint_key
from aspora.apis.builtins import load_kinds
from aspora.apis.conversion import KindForms
from aspora.artifacts.interface import ArtifactStore
from aspora.client.interface import Client
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.objects.assembly import assemble
from aspora.gateway.objects.bootstrap import DEFAULT_DOMAIN, Bootstrap, StartKey, system_key
from aspora.gateway.streams import Streams
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import Conflict, StatusError, Timeout, Unauthorized, Unavailable
from aspora.store.postgres import CHANNEL, PostgresStore
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics

LIFETIME: Final = timedelta(hours=6)
"""How long a key outlives a process that could not take it back."""

RENEW_SECONDS: Final = 2 * 3600.0
REMOVE_SECONDS: Final = 2.0
STRANGE_SECONDS: Final = 10.0
"""How long a gateway may refuse a fresh key before it counts as one of another database."""

_BACKOFF: Final = Backoff(base_seconds=0.1, max_seconds=5.0)
_RENEW_BACKOFF: Final = Backoff(base_seconds=1.0, max_seconds=60.0)
_log = get_logger(__name__)


def new_place(role: str) -> str:
    """A name for a process that none had before and that fits into a label: role, host, process, 32 random bits."""
    host = "".join(c for c in socket.gethostname().split(".")[0].lower() if c.isalnum() or c == "-")[:24].strip("-")
    return f"{role}-{host or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"


class ProcessKey:
    """One process's key.

    Args:
        database: Where the objects are.
        dsn: The same database, for the store's listener, which is never run here.
        artifacts: For the admission chain; a key names none.
        clock: The database's, by which gateways judge when the key has expired.
        roles: What the key gives.
        place: Whose it is; see `new_place`.
    """

    def __init__(
        self,
        database: Database,
        dsn: str,
        artifacts: ArtifactStore,
        clock: Clock,
        *,
        roles: Sequence[str],
        place: str,
    ) -> None:
        self.text = mint_key().text
        self._clock = clock
        self._roles = tuple(roles)
        self._place = place
        self._bootstrap = _bootstrap(database, dsn, artifacts, clock)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """The key, made on entering and taken back at the end, whatever happens meanwhile.

        Raises:
            Unavailable: The database can't be reached.
        """
        try:
            await self.ensure()
            yield
        finally:
            await self.remove()

    async def ensure(self) -> None:
        """Make the key, or move the instant at which it expires.

        Raises:
            Unavailable: The database can't be reached.
        """
        await self._bootstrap.ensure_keys([self._key()])

    async def run(self, stop: asyncio.Event) -> None:
        """Renew until told to stop; a failed renewal is tried again long before the key expires."""
        attempt, pause_seconds = 0, RENEW_SECONDS
        while not await wait_for_event(stop, pause_seconds):
            try:
                await self.ensure()
            except StatusError as error:
                _log.warning("API key of this process not renewed yet", reason=error.reason, attempt=attempt)
                pause_seconds = _RENEW_BACKOFF.delay_seconds(attempt)
                attempt += 1
            else:
                attempt, pause_seconds = 0, RENEW_SECONDS

    async def remove(self) -> None:
        """Take the key back; when that fails it expires by itself."""
        try:
            async with asyncio.timeout(REMOVE_SECONDS):
                await self._bootstrap.remove_key(self._key())
        except (StatusError, TimeoutError) as error:
            _log.warning("API key of this process not taken back, it will expire", cause=type(error).__name__)

    def _key(self) -> StartKey:
        return system_key(self.text, roles=self._roles, place=self._place, expires_at=self._clock.now() + LIFETIME)


async def wait_accepted(client: Client, url: str, stop: asyncio.Event, *, database: str) -> bool:
    """Wait until a gateway answers and knows our key; False when told to stop first.

    A gateway that is well knows a key within a second of its making. One that goes on not knowing it has another
    database.

    Args:
        url: Where the gateway is, for the message.
        database: Which database the key is in, for the message.

    Raises:
        Conflict: The gateway is one of another database.
        StatusError: A gateway answers with another error.
    """
    attempt, refused_since = 0, None
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        try:
            await client.get("Domain", DEFAULT_DOMAIN)
        except (Unavailable, Timeout, Unauthorized) as error:
            if attempt % 10 == 0:
                _log.warning("waiting for a gateway of this database", url=url, reason=error.reason, why=error.message)
            if isinstance(error, Unauthorized):
                refused_since = loop.time() if refused_since is None else refused_since
                if loop.time() - refused_since > STRANGE_SECONDS:
                    raise _other_database(url, database, error) from None
        else:
            return True
        await wait_for_event(stop, _BACKOFF.delay_seconds(attempt))
        attempt += 1
    return False


def _other_database(url: str, database: str, error: Unauthorized) -> Conflict:
    return Conflict(
        f"the gateway at {url!r} refuses the key that this process keeps in database {database!r} ({error.message}):"
        " it serves another database; set ASPORA_URL and ASPORA_DATABASE_URL to those of one installation"
    )


def _bootstrap(database: Database, dsn: str, artifacts: ArtifactStore, clock: Clock) -> Bootstrap:
    """The object door's, over a view that nobody runs: it reads the database each time, which is rare here."""
    metrics = Metrics()
    kinds = list(load_kinds())
    store = PostgresStore(database, Listener(dsn, (CHANNEL,)), clock, forms=KindForms(kinds))
    parts = assemble(
        store=store,
        kinds=kinds,
        tail_age_seconds=store.tail_age_seconds,
        artifacts=artifacts,
        clock=clock,
        metrics=metrics,
        streams=Streams(metrics=metrics),
    )
    return parts.bootstrap
