"""The handler's `context`, as the handler protocol has it on the wire (snake_case)."""

from collections.abc import Mapping
from typing import Any

from aspora.executor.plan import Plan
from aspora.records.rows import Claim


def handler_context(
    claim: Claim, plan: Plan, wire_input: Mapping[str, Any], *, deadline_seconds: float
) -> dict[str, Any]:
    """All that a handler is told.

    Args:
        wire_input: `userMessage`, `userId`, `metadata` of the request.
        deadline_seconds: What is left for the handler.
    """
    return {
        "execution_id": claim.id,
        "skill": claim.skill,
        "domain": claim.domain,
        "revision": claim.revision,
        "deadline_seconds": deadline_seconds,
        "input": {
            "user_message": wire_input.get("userMessage") or "",
            "user_id": wire_input.get("userId") or "",
            "domain": claim.domain,
            "metadata": wire_input.get("metadata") or {},
        },
        "config": {"environment": claim.environment, "version": plan.version, "attempt": claim.attempt},
    }
