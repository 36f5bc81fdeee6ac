"""The port by which a run's side effects become steps that are not repeated after a crash."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Emit = Callable[[dict[str, Any]], None]
"""Takes one event of an execution's trace: a JSON object with a CamelCase `type`; never blocks."""


class Journal(Protocol):
    """Runs steps once."""

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run a step, or give back what it returned before the crash.

        Args:
            key: Unique in the execution and the same on every replay, e.g. `model:1`.
            run: Does the step; returns a JSON object.
        """
        ...


class CallThrough:
    """The journal of executions that are not replayed: each step simply runs."""

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run the step."""
        return await run()
