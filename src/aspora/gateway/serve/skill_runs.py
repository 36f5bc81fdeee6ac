"""Runs a skill as the serving door does, for callers who ask for it as a model."""

from typing import Any, Final

from aspora.access.interface import Caller
from aspora.gateway.origin import Origin
from aspora.gateway.serve.acceptance import Acceptance, Order
from aspora.gateway.serve.run_request import parse_run_request
from aspora.gateway.serve.waiting import EndWatch
from aspora.kit.clock import Clock
from aspora.meta.errors import StatusError, Timeout, Unavailable
from aspora.records.executions import execution_wire

WAIT_SECONDS: Final = 60
TRIGGER: Final = {"type": "api"}


class ServedSkills:
    """Implements `SkillRuns` over the serving door's parts."""

    def __init__(self, acceptance: Acceptance, ends: EndWatch, clock: Clock) -> None:
        self._acceptance = acceptance
        self._ends = ends
        self._clock = clock

    async def run(self, caller: Caller, domain: str, skill: str, message: str, *, origin: Origin) -> dict[str, Any]:
        """Run one and wait for its end."""
        order = Order(
            caller=caller,
            domain=domain,
            skill=skill,
            request=parse_run_request({"input": {"userMessage": message}, "trigger": TRIGGER}),
            key=None,
            waits=True,
            began=self._clock.monotonic(),
            origin=origin,
        )
        accepted = await self._acceptance.accept(order)
        row = await self._ends.wait(accepted.id, WAIT_SECONDS)
        if row is None:
            raise Timeout(f"execution {accepted.id!r} has not ended yet; follow it: aspora logs {accepted.id} --follow")
        execution = execution_wire(row)
        if execution["status"]["state"] != "Succeeded":
            raise _failure(execution)
        return execution


def _failure(execution: dict[str, Any]) -> StatusError:
    name, status = execution["metadata"]["name"], execution["status"]
    why = f"{status['state']}: {status.get('reason', '')}: {status.get('message', '')}"
    return Unavailable(f"execution {name!r} brought no answer ({why}); see what happened: aspora logs {name}")
