"""Reading and setting conditions without churning their transition times."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from aspora.meta.objects import Condition

READY = "Ready"


def find_condition(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((c for c in conditions if c.type == type_), None)


def set_condition(
    conditions: Sequence[Condition],
    *,
    type_: str,
    status: Literal["True", "False", "Unknown"],
    reason: str,
    message: str = "",
    now: datetime,
    observed_generation: int | None = None,
) -> list[Condition]:
    """A new list with that condition set; `last_transition_time` moves only when `status` changes."""
    old = find_condition(conditions, type_)
    since = old.last_transition_time if old is not None and old.status == status else now
    new = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=observed_generation,
    )
    return [c for c in conditions if c.type != type_] + [new]


def is_ready(conditions: Sequence[Condition]) -> bool:
    """True when the summary condition says so."""
    ready = find_condition(conditions, READY)
    return ready is not None and ready.status == "True"
