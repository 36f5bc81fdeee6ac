import asyncio

import pytest

from aspora.main.children import Child, ChildSpec, keep_running


async def test_children_are_stopped_last_one_first_even_when_the_stop_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopping, may_end, ended = asyncio.Event(), asyncio.Event(), list[str]()

    async def stop(child: Child) -> None:
        stopping.set()
        await may_end.wait()
        ended.append(child.spec.name)

    async def live_and_stop() -> None:
        async with keep_running(*(Child(ChildSpec(name, {}), stop_grace_seconds=1) for name in ("first", "second"))):
            pass

    monkeypatch.setattr(Child, "start", lambda _: None)
    monkeypatch.setattr(Child, "stop", stop)
    living = asyncio.create_task(live_and_stop())
    async with asyncio.timeout(30):
        await stopping.wait()
    living.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert ended == ["second", "first"]
