"""The port of shared circuits: one process's openings, probes and closings, told to all others."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Upstream:
    """What is called.

    Attributes:
        provider: Name of the Provider.
        base_url: Without a slash at its end.
        model: The upstream's id of one model, where that alone is meant; "" for all of them.
    """

    provider: str
    base_url: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCircuit:
    """A circuit that is open, as all see it.

    Attributes:
        number: How often in a row it opened.
        turn: Greater with each opening and each claim.
        seconds_left: Until a probe may go out; not above 0 when one may.
        holder: The process that probes; None when none does.
        probe_seconds_left: Until another may probe in its place; not above 0 when one may.
    """

    upstream: Upstream
    number: int
    turn: int
    seconds_left: float
    holder: str | None = None
    probe_seconds_left: float = 0.0


class CircuitBoard(Protocol):
    """Where circuits are shared; each change but `renew` wakes everybody. All raise `StatusError` while it is away."""

    async def read(self) -> Sequence[OpenCircuit]:
        """All open circuits, and all limits that hold."""
        ...

    async def open(self, upstream: Upstream, *, number: int, seconds: float, turn: int | None) -> None:
        """Open a circuit; nothing happens when others have opened or claimed it since.

        Args:
            upstream: Which.
            number: How often in a row.
            seconds: For how long, from now.
            turn: The one that was probed; None when it was closed.
        """
        ...

    async def close(self, upstream: Upstream, *, turn: int) -> None:
        """Close it; nothing happens when it has had another turn."""
        ...

    async def claim(self, upstream: Upstream, *, holder: str, seconds: float) -> None:
        """Take the probe, if it may go out and nobody else has it; `read` tells who does."""
        ...

    async def renew(self, upstream: Upstream, *, turn: int, seconds: float) -> None:
        """Keep the probe for so long from now; nothing happens when it has had another turn."""
        ...

    def news(self, told: asyncio.Event) -> AbstractContextManager[object]:
        """Have the event set whenever something may have changed, inside the block."""
        ...
