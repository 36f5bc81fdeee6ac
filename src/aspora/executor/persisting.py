"""Writes that must reach the database for an execution to go on: tried until it has answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aspora.executor.interface import Superseded
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Timeout, Unavailable
from aspora.meta.names import ExecutionId
from aspora.records.fence import Fenced
from aspora.telemetry.logs import get_logger

T = TypeVar("T")
_BACKOFF: Final = Backoff(base_seconds=0.05, max_seconds=2.0)
_log = get_logger(__name__)


async def persist(write: Callable[[], Awaitable[T]], *, execution: ExecutionId, what: str) -> T:
    """Read or write again and again until the database has answered or the caller is cancelled.

    Args:
        write: May be repeated without harm.
        what: For the log: what is out of reach.

    Raises:
        Superseded: The node's word on the execution counts no more.
    """
    attempt = 0
    while True:
        try:
            return await write()
        except Fenced as error:
            raise Superseded(error.message) from None
        except (Unavailable, Timeout) as error:
            _log.warning("database out of reach", execution=execution, what=what, reason=error.reason)
        await asyncio.sleep(_BACKOFF.delay_seconds(attempt))
        attempt += 1
