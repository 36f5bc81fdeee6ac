"""The fence of an attempt: what must still be true for its word to count."""

from typing import Any

from aspora.meta.errors import Conflict
from aspora.meta.names import ExecutionId
from aspora.records.rows import Claim, Owner


class Fenced(Conflict):
    """The node's word on an execution counts no more: its lease has ended, or the execution is no longer its own."""

    def __init__(self, execution: ExecutionId, owner: Owner) -> None:
        super().__init__(
            f"node {owner.node} is fenced from {execution}: its lease has ended, or the execution is another attempt's"
        )


def fence_of(claim: Claim) -> dict[str, Any]:
    """What the execution's row and the node's must still say, as the queries want it."""
    return {
        "id": claim.id,
        "day": claim.day,
        "node": claim.owner.node,
        "epoch": claim.owner.epoch,
        "attempt": claim.attempt,
    }
