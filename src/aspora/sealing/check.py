"""Which key belongs to a database: the first start registers one, and every later one is compared with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aspora.db.advisory_keys import LockKey
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries
from aspora.meta.errors import StatusError
from aspora.sealing.cipher import SealBroken, SecretKey, seal, unseal

Fault = Literal["", "SecretKeyMissing", "SecretKeyWrong", "SecretKeyUnreadable"]

_PLACE = "secret key probe"
_PROBE = {"probe": "aspora"}
_queries = Queries.load("aspora.sealing", "keys.sql")


@dataclass(frozen=True, slots=True)
class KeyState:
    """How it stands with the key.

    Attributes:
        key: The right one; None when there is a fault.
        wanted_id: Of the key that the database's secrets are sealed with; "" when none is registered.
        fault: Why it can't be used; "" when it can.
        message: The fault for people: what, which, what would do.
    """

    key: SecretKey | None
    wanted_id: str
    fault: Fault = ""
    message: str = ""


async def registered_key_id(connection: Connection) -> str:
    """Id of the key that belongs to the database; "" when it has none, or its schema knows of none."""
    if not await _queries.fetch_value(connection, "has_table"):
        return ""
    row = await _queries.fetch_one(connection, "current_key")
    return row["key_id"] if row else ""


async def check_key(connection: Connection, find: Callable[[], SecretKey | None], *, place: str) -> KeyState:
    """Compare what is found with what is registered; changes nothing.

    Args:
        find: Looks for the key.
        place: Where it looked, for people.
    """
    has_table = await _queries.fetch_value(connection, "has_table")
    row = await _queries.fetch_one(connection, "current_key") if has_table else None
    try:
        key = find()
    except StatusError as e:
        return KeyState(None, row["key_id"] if row else "", "SecretKeyUnreadable", f"{e.message} ({place})")
    return KeyState(key, "") if row is None else judged(key, row["key_id"], row["probe"], place=place)


def judged(key: SecretKey | None, wanted_id: str, probe: str, *, place: str) -> KeyState:
    """The found key against the registered one."""
    if key is None:
        return KeyState(
            None,
            wanted_id,
            "SecretKeyMissing",
            f"secret key {wanted_id!r} is not at {place}: put it back from your copy; until then secrets stay as they"
            " are and can't be read or written",
        )
    try:
        unseal(key, probe, place=_PLACE)
    except SealBroken:
        return KeyState(
            None,
            wanted_id,
            "SecretKeyWrong",
            f"the key at {place} is {key.key_id!r}, and the secrets are sealed with {wanted_id!r}: put that one back;"
            " until then secrets stay as they are and can't be read or written",
        )
    return KeyState(key, wanted_id)


async def settle_key(
    database: Database, find: Callable[[], SecretKey | None], make: Callable[[], SecretKey], *, place: str
) -> KeyState:
    """At a start: the registered key compared, or the first one registered.

    Args:
        find: Looks for the key.
        make: Makes one and keeps it; called only when the database knows of none and none is found.
        place: Where it lies, for people.
    """
    async with database.transaction() as connection:
        await _queries.execute(connection, "lock", key=LockKey.SECRET_KEY.value)
        state = await check_key(connection, find, place=place)
        if state.fault or state.wanted_id:
            return state
        key = state.key or make()
        probe = seal(key, _PROBE, place=_PLACE)
        await _queries.execute(connection, "register_key", key_id=key.key_id, probe=probe)
    return KeyState(key, key.key_id)
