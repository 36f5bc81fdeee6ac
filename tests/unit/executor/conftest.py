"""A claim and a trace to work with."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aspora.executor.trace import Trace
from aspora.meta.names import ExecutionId, NodeId
from aspora.records.ids import day_of
from aspora.records.rows import Claim, Owner


class HandClock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.at = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_claim(clock: HandClock) -> Callable[..., Claim]:
    name = ExecutionId("EXEC-20260218120000-7f3a09c1")
    claim = Claim(
        id=name,
        day=day_of(name),
        domain="test",
        skill="echo",
        revision="echo-1",
        environment="production",
        execution_class="inline",
        input={"userMessage": "hi", "userId": "u", "metadata": {"n": 1}},
        input_ref=None,
        caller="tester",
        trigger={"type": "api"},
        created_at=clock.now(),
        deadline=clock.now() + timedelta(seconds=60),
        owner=Owner(NodeId("node"), 1),
        attempt=1,
        cancel_requested=False,
        spent_micro_usd=0,
        queued_ms=1.25,
    )

    def make(**changes: Any) -> Claim:
        return replace(claim, **changes)

    return make


@pytest.fixture
def trace(make_claim: Callable[..., Claim], clock: HandClock) -> Trace:
    return Trace(make_claim(), clock, on_event=lambda _: None)
