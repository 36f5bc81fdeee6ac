"""When a skill is called healthy."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aspora.controllers.health import MIN_EXECUTIONS, Decision, decide
from aspora.meta.objects import Condition


def numbers(failed: int = 0, succeeded: int = 100, **more: Any) -> dict[str, Any]:
    return {"succeeded": succeeded, "failed": failed, "costMicroUsd": 0, **more}


def said(status: Any, reason: str) -> Condition:
    return Condition(type="Healthy", status=status, reason=reason, last_transition_time=datetime.now(UTC))


@pytest.mark.parametrize(
    ("thresholds", "measured", "reason"),
    [
        ({"errorRateBp": 500}, numbers(failed=6, succeeded=94), "TooManyFailures"),
        ({"errorRateBp": 500}, numbers(failed=5, succeeded=95), "WithinThresholds"),
        ({"errorRateBp": 0}, numbers(), "WithinThresholds"),
        ({"latencyP95Ms": 100}, numbers(p95Ms=101), "TooSlow"),
        ({"latencyP95Ms": 100}, numbers(p95Ms=100), "WithinThresholds"),
        ({"latencyP95Ms": 100}, numbers(failed=100, succeeded=0), "WithinThresholds"),
        ({"costPerExecutionMicroUsd": 10}, numbers(costMicroUsd=1001), "TooExpensive"),
        ({"costPerExecutionMicroUsd": 10}, numbers(costMicroUsd=1000), "WithinThresholds"),
    ],
)
def test_a_threshold_is_crossed_when_it_is_exceeded(
    thresholds: dict[str, int], measured: dict[str, Any], reason: str
) -> None:
    decision = decide(thresholds, measured, None)
    assert decision is not None
    assert decision.reason == reason
    assert decision.status == ("True" if reason == "WithinThresholds" else "False")


def test_little_evidence_changes_nothing() -> None:
    few = numbers(failed=MIN_EXECUTIONS - 1, succeeded=0)
    assert decide({"errorRateBp": 1}, few, None) is None
    assert decide({"errorRateBp": 1}, few, said("True", "WithinThresholds")) is None


def test_a_skill_at_its_threshold_does_not_waver() -> None:
    crossed = said("False", "TooManyFailures")
    for failed, status in ((5, "False"), (4, "True")):
        decision = decide({"errorRateBp": 500}, numbers(failed=failed, succeeded=100 - failed), crossed)
        assert decision is not None
        assert decision.status == status


def test_without_thresholds_a_decision_is_taken_back_and_none_is_made() -> None:
    assert decide({}, numbers(), None) is None
    assert decide({}, numbers(), said("False", "TooSlow")) == Decision("Unknown", "NotMonitored")


def test_no_message_holds_a_measured_number() -> None:
    messages = {
        str(decide({"errorRateBp": 500}, numbers(failed=failed, succeeded=50), None)) for failed in (40, 45, 50)
    }
    assert len(messages) == 1
