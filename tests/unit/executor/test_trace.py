"""What happens in one attempt."""

from typing import Any

from aspora.executor.trace import MAX_EVENTS, Trace


def test_stages_add_up_and_start_with_the_wait_in_the_queue(trace: Trace, clock: Any) -> None:
    for seconds in (0.5, 0.25):
        with trace.stage("process"):
            clock.pass_time(seconds)
    assert trace.stages == {"record": 1.2, "process": 750.0}


def test_events_are_taken_once_and_can_be_given_back_in_order(trace: Trace) -> None:
    trace.emit("One")
    first = trace.take()
    trace.emit("Two", n=2)
    trace.give_back(first)
    assert [(e.type, e.data) for e in trace.take()] == [("One", {}), ("Two", {"n": 2})]
    assert trace.take() == []


def test_a_flood_of_events_is_cut_and_says_so(trace: Trace) -> None:
    for _ in range(MAX_EVENTS + 50):
        trace.emit("Log")
    events = trace.take()
    assert len(events) == MAX_EVENTS
    assert events[-1].type == "EventsDropped"
