"""Circuits shared through PostgreSQL."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from aspora.circuits.interface import OpenCircuit, Upstream
from aspora.db.listen import Listener
from aspora.db.pool import Connection, Database
from aspora.db.queries import Queries

CHANNEL: Final = "aspora_circuits"
"""A circuit was opened, claimed or closed."""

_queries = Queries.load("aspora.circuits", "circuits.sql")


class SharedCircuits:
    """Implements `CircuitBoard`.

    Args:
        database: Where they are.
        listener: Must hear `CHANNEL`.
    """

    def __init__(self, database: Database, listener: Listener) -> None:
        self._database = database
        self._listener = listener

    async def read(self) -> Sequence[OpenCircuit]:
        """All open circuits, and all limits that hold."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "read_circuits")
        return [
            OpenCircuit(
                upstream=Upstream(row["provider"], row["base_url"], row["model"]),
                number=row["number"],
                turn=row["turn"],
                seconds_left=row["seconds_left"],
                holder=row["holder"],
                probe_seconds_left=row["probe_seconds_left"],
            )
            for row in rows
        ]

    async def open(self, upstream: Upstream, *, number: int, seconds: float, turn: int | None) -> None:
        """Open a circuit, and let go of what is long over."""
        async with self._database.connection() as connection:
            await _queries.execute(connection, "forget_circuits")
            await self._change(connection, "open_circuit", upstream, number=number, seconds=seconds, turn=turn)

    async def close(self, upstream: Upstream, *, turn: int) -> None:
        """Close it, if that turn still lasts."""
        async with self._database.connection() as connection:
            await self._change(connection, "close_circuit", upstream, turn=turn)

    async def claim(self, upstream: Upstream, *, holder: str, seconds: float) -> None:
        """Take the probe, if it may go out and nobody else has it."""
        async with self._database.connection() as connection:
            await self._change(connection, "claim_probe", upstream, holder=holder, seconds=seconds)

    async def renew(self, upstream: Upstream, *, turn: int, seconds: float) -> None:
        """Keep the probe; nobody needs to be woken for that."""
        async with self._database.connection() as connection:
            place = _place(upstream)
            await _queries.execute(connection, "renew_probe", **place, turn=turn, seconds=seconds)

    def news(self, told: asyncio.Event) -> AbstractContextManager[object]:
        """Have the event set whenever something may have changed, inside the block."""
        return self._listener.subscribe(CHANNEL, wakes=told)

    async def _change(self, connection: Connection, query: str, upstream: Upstream, **given: Any) -> None:
        """Change one row, and wake everybody if it did; after the commit, see `records.wakeups`."""
        if await _queries.execute(connection, query, **_place(upstream), **given):
            await _queries.execute(connection, "notify")


def _place(upstream: Upstream) -> dict[str, str]:
    return {"provider": upstream.provider, "base_url": upstream.base_url, "model": upstream.model}
