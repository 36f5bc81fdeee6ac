import asyncio
import socket

import pytest

from aspora.main import up
from aspora.main.children import Child
from aspora.main.settings import Settings


async def test_a_stop_that_is_cancelled_still_ends_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, may_end, ended = asyncio.Event(), asyncio.Event(), list[str]()

    async def stop(child: Child) -> None:
        stopping.set()
        await may_end.wait()
        ended.append(child.spec.name)

    async def live_and_stop() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            async with up._children(Settings(), dsn="", bound=bound, admin_key=""):
                pass
        ended.append("database")

    monkeypatch.setattr(Child, "start", lambda _: None)
    monkeypatch.setattr(Child, "stop", stop)
    living = asyncio.create_task(live_and_stop())
    await stopping.wait()
    living.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert ended == ["executor", "gateway"]
