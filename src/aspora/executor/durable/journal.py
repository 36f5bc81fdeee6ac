"""Steps of an execution as DBOS steps: done once, kept, and given up when the workflow is somebody else's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dbos import DBOS
from dbos import error as dbos_error

from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded


class WorkflowJournal:
    """The journal of the workflow that the calling task belongs to."""

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Run a step, or give back what it returned before; see `aspora.executor.journal.Journal`.

        Raises:
            ExecutionFailed: The step failed so, now or before; or the workflow was cancelled in the workflow engine.
            Superseded: Another process has taken the workflow over.
        """

        async def kept() -> dict[str, Any]:
            try:
                return {"value": await run()}
            except ExecutionFailed as failure:
                return {"failed": {"reason": failure.reason, "message": failure.message}}
            except Superseded as error:
                # An exception would be kept as the step's outcome; what is cancelled is not.
                raise asyncio.CancelledError(str(error)) from None

        try:
            outcome = await DBOS.run_step_async({"name": key, "preemptible": True}, kept)
        except dbos_error.DBOSWorkflowConflictIDError as error:
            raise Superseded(str(error)) from error
        except dbos_error.DBOSWorkflowCancelledError:
            raise ExecutionFailed(
                "WorkflowCancelled",
                "its workflow was cancelled in the workflow engine; run it again if that was not meant",
            ) from None
        failed = outcome.get("failed")
        if failed is not None:
            raise ExecutionFailed(failed["reason"], failed["message"])
        return outcome["value"]
