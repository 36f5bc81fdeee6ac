"""The contract of a reconciler: it gets a name, never an event, reads the present state and acts on the difference."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """Names the object to look at.

    Attributes:
        domain: None for a cluster-wide one.
        kind: Only where one queue holds several kinds; else empty.
    """

    domain: str | None
    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile wants next; None means nothing until the object changes again."""

    requeue_after_seconds: float | None = None


class Reconciler(Protocol):
    """Brings one object from what is to what is wanted.

    Safe to run twice, after a crash at any await, and for an object that is gone. Writes only what differs.
    """

    async def reconcile(self, request: Request) -> Result:
        """Look at the object's present state and act.

        Raises:
            Exception: Anything; the request is retried after a growing delay.
        """
        ...
