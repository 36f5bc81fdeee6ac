"""The states of an execution."""

from typing import get_args

from aspora.records.state import TERMINAL, TRANSITIONS, State, is_terminal, may_follow

STATES: tuple[State, ...] = get_args(State)


def test_every_state_has_its_ways_and_an_end_has_none() -> None:
    assert set(TRANSITIONS) == set(STATES)
    assert {s for s in STATES if not TRANSITIONS[s]} == TERMINAL
    assert [s for s in STATES if is_terminal(s)] == ["Succeeded", "Failed", "Cancelled"]


def test_nothing_succeeds_without_having_run() -> None:
    assert not may_follow("Pending", "Succeeded")
    assert may_follow("Pending", "Running")
    assert may_follow("Running", "Pending")
