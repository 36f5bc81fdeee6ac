"""What runs now can be cancelled, once, and only while it runs."""

import asyncio
from collections.abc import Callable

import pytest

from aspora.executor.running import Running
from aspora.records.rows import Claim


async def test_a_cancellation_finds_the_task_and_is_remembered_until_its_end(make_claim: Callable[..., Claim]) -> None:
    running, name = Running(), make_claim().id
    task = asyncio.create_task(asyncio.Event().wait())
    assert not running.cancel(name)
    with running.entered(name, task):
        assert running.cancel(name)
        assert running.cancel(name)
        assert running.was_cancelled(name)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(running) == 1
    assert not running.was_cancelled(name)
    assert len(running) == 0


async def test_a_second_attempt_of_the_same_execution_keeps_its_place(make_claim: Callable[..., Claim]) -> None:
    running, name = Running(), make_claim().id
    old, new = (asyncio.create_task(asyncio.Event().wait()) for _ in range(2))
    with running.entered(name, old):
        newer = running.entered(name, new)
        newer.__enter__()
    assert running.cancel(name)
    for task in (old, new):
        task.cancel()
    await asyncio.wait({old, new})
    newer.__exit__(None, None, None)
    assert not running.cancel(name)
