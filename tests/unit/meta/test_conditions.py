from datetime import UTC, datetime, timedelta

from aspora.meta.conditions import find_condition, is_ready, set_condition

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_transition_time_moves_only_with_the_status() -> None:
    conditions = set_condition([], type_="Ready", status="False", reason="Starting", now=T0)
    assert not is_ready(conditions)
    later = T0 + timedelta(minutes=1)
    conditions = set_condition(conditions, type_="Ready", status="False", reason="Waiting", now=later)
    ready = find_condition(conditions, "Ready")
    assert ready is not None
    assert (ready.reason, ready.last_transition_time) == ("Waiting", T0)
    conditions = set_condition(conditions, type_="Ready", status="True", reason="Done", now=later)
    ready = find_condition(conditions, "Ready")
    assert ready is not None
    assert ready.last_transition_time == later
    assert is_ready(conditions)
    assert len(conditions) == 1
