"""What a database failure means to a caller: PostgreSQL's error classes as Aspora's error tree.

Failures a caller can act on are translated (server gone, timeout, serialization, a value no text column can hold);
constraint violations and defects in SQL pass through unchanged, because only the query's owner knows what they mean.
Messages never carry values: PostgreSQL puts those into DETAIL, which is left out.
"""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout
from psycopg_pool import TooManyRequests as PoolQueueFull

from aspora.meta.errors import Conflict, Invalid, StatusError, Timeout, Unavailable

RETRY_AFTER_SECONDS = 1.0

_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P02", "25P03", "25P04", "25006"})
_LOST_CLASSES = frozenset({"08"})
_EXHAUSTED_CLASSES = frozenset({"53", "58"})
_SERIALIZATION_STATES = frozenset({"40001", "40P01"})
_UNSTORABLE_STATES = frozenset({"22021", "22P05"})


class SerializationConflict(Conflict):
    """Two transactions got in each other's way; nothing was saved and the same work may be tried again."""


class ConnectionLost(Unavailable):
    """The server hung up before a commit was sent: nothing was saved."""


class OutcomeUnknown(Unavailable):
    """The server hung up while committing: the work may or may not be saved."""


def translate(error: psycopg.Error) -> StatusError | None:
    """The error a caller can act on, or None when only the query's owner can tell what it means."""
    if isinstance(error, PoolTimeout | PoolQueueFull):
        return Unavailable(
            "no database connection became free in time: the database is down or busy; its log says which",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    if isinstance(error, PoolClosed):
        return Unavailable("this Aspora is stopping; send the request again to another, or when it is up")
    return _from_state(error, error.sqlstate) if error.sqlstate else _from_client(error)


def _from_state(error: psycopg.Error, state: str) -> StatusError | None:
    reply = error.diag.message_primary or f"SQLSTATE {state}"
    if state in _SERIALIZATION_STATES:
        return SerializationConflict(f"concurrent changes collided ({reply}); try again")
    if state == "57014":
        return Timeout(f"the database stopped a statement: {reply}; try again, or ask for less at once")
    if state == "55P03":
        return Unavailable(f"a lock was not free in time: {reply}; try again", retry_after_seconds=RETRY_AFTER_SECONDS)
    if state in _UNSTORABLE_STATES:
        return Invalid("a text holds a character the database can't store; remove NUL (\\u0000) characters")
    if state in _LOST_STATES or state[:2] in _LOST_CLASSES:
        return _lost(reply)
    if state[:2] in _EXHAUSTED_CLASSES:
        return Unavailable(
            f"the database is out of a resource: {reply}; free disk, memory or connections",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    return None


def _from_client(error: psycopg.Error) -> StatusError | None:
    if isinstance(error, psycopg.DataError):
        return Invalid("a text holds a character the database can't store; remove NUL (\\u0000) characters")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _lost(str(error).strip().splitlines()[0] if str(error).strip() else "it does not say why")
    return None


def _lost(reply: str) -> ConnectionLost:
    return ConnectionLost(
        f"the database can't be reached: {reply}; see that it is up and ASPORA_DATABASE_URL names it",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


@contextmanager
def translated() -> Generator[None]:
    """Turn the database errors of a block into Aspora's; anything else passes through."""
    try:
        yield
    except psycopg.Error as error:
        known = translate(error)
        if known is None:
            raise
        raise known from error
