"""Every advisory lock that Aspora takes in a database, so that no two mean the same key.

A key is PostgreSQL's `hashtextextended` of a text here, or of one that begins with it and a space (`LockKey.of`). The
functions of migrations write theirs out, since what was applied stays as it is; a test compares.
"""

from enum import StrEnum, unique
from typing import Final

MIGRATIONS: Final = 0x4153_504F_5241_0001
"""The one plain number. Held by the transaction of one migration: who starts at the same time waits."""


@unique
class LockKey(StrEnum):
    """What the key is made of, and what it guards."""

    OBJECTS = "aspora_objects"
    """0001, by the transaction: one batch of writes at a time, so that versions come in the order of commits."""

    DAY_PARTITIONS = "aspora_ensure_day_partitions"
    """0000, by the transaction, one key a table (its oid is the seed): partitions are made by one process."""

    LEADER = "aspora_leader"
    """0004 and `advisory.sql`, by the session, one key a name: who leads."""

    EVENT = "aspora_event"
    """0005, by the transaction, one key a sort of object event: same ones are counted in one row."""

    SECRET_KEY = "aspora_secret_keys"
    """By the transaction: of several processes over a new database one makes the secret key."""

    DURABLE_LAUNCH = "aspora_durable_launch"
    """By the session: one executor at a time migrates and launches the workflow engine."""

    def of(self, name: str) -> str:
        """The key of one of several locks of this sort."""
        return f"{self.value} {name}"
