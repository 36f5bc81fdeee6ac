"""The port by which a run's side effects become steps that are not repeated after a crash."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded
from aspora.executor.persisting import persist
from aspora.records.rows import Claim
from aspora.records.steps import Steps

T = TypeVar("T")
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


class KeptSteps:
    """The journal of durable executions: what a step gave is kept by whoever owns the execution, and by nobody else.

    Args:
        claim: Whose steps.
        is_lost: Whether the node's lease is given up: what ends now did not come to its own end.
    """

    def __init__(self, steps: Steps, claim: Claim, *, is_lost: Callable[[], bool]) -> None:
        self._steps = steps
        self._claim = claim
        self._is_lost = is_lost

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run a step, or give back what it gave before.

        Raises:
            ExecutionFailed: The step failed so, now or before.
            Superseded: The execution is another attempt's, or will be.
        """
        outcome = await self._persist(lambda: self._steps.get(self._claim, key))
        if outcome is None:
            outcome = await self._do(run)
            if self._is_lost():
                raise Superseded("the node's lease is given up")
            kept = outcome
            await self._persist(lambda: self._steps.keep(self._claim, key, kept))
        failed = outcome.get("failed")
        if failed is not None:
            raise ExecutionFailed(failed["reason"], failed["message"])
        return outcome["value"]

    async def _do(self, run: Callable[[], Awaitable[dict[str, Any]]]) -> Mapping[str, Any]:
        try:
            return {"value": await run()}
        except ExecutionFailed as failure:
            return {"failed": {"reason": failure.reason, "message": failure.message}}

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        return await persist(write, execution=self._claim.id, what="steps")


class CallThrough:
    """The journal of executions that are not replayed: each step simply runs."""

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run the step."""
        return await run()
