"""One attempt: what is loaded before the work begins."""

from collections.abc import Callable
from typing import Any

import pytest

from aspora.executor.attempt import Attempts
from aspora.executor.failures import ExecutionFailed
from aspora.executor.trace import Trace


async def test_what_is_loaded_shares_the_time_that_is_left(trace: Trace, clock: Any) -> None:
    """Each part given all the time anew, three slow ones would take three times what the deadline allows."""

    class Slow:
        async def load(self, _domain: str, _revision: str, *, within_seconds: float) -> object:
            assert within_seconds == 60
            clock.pass_time(61)
            return object()

    class Untouched:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            raise AssertionError(f"{name} is asked for after the deadline")

    parts: Any = {"plans": Slow(), "artifacts": Untouched(), "blobs": Untouched(), "clock": clock}
    attempts = Attempts(**parts, handler=Untouched(), agent=Untouched())
    with pytest.raises(ExecutionFailed) as failed:
        await attempts.make(trace, Untouched())  # type: ignore[arg-type]
    assert failed.value.reason == "DeadlineExceeded"
