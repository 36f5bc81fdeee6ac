"""The states of an execution and the ways between them. Pure: the SQL guards say the same and tests compare the two."""

from typing import Final, Literal

State = Literal["Pending", "Running", "Succeeded", "Failed", "Cancelled"]
ExecutionClass = Literal["inline", "durable"]

TERMINAL: Final[frozenset[State]] = frozenset({"Succeeded", "Failed", "Cancelled"})

TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    # Failed from Pending: the deadline passed before anybody took it.
    "Pending": frozenset({"Running", "Failed", "Cancelled"}),
    # Pending from Running: the node was lost or stopped, and the deadline allows another attempt.
    # Running from Running: a durable execution is taken over after its node was lost.
    "Running": frozenset({"Pending", "Running", "Succeeded", "Failed", "Cancelled"}),
    "Succeeded": frozenset(),
    "Failed": frozenset(),
    "Cancelled": frozenset(),
}


def is_terminal(state: str) -> bool:
    """Whether nothing can follow."""
    return state in TERMINAL


def may_follow(old: State, new: State) -> bool:
    """Whether an execution may go from `old` to `new`."""
    return new in TRANSITIONS[old]
