"""Work for a client that may leave: then it is cancelled, so that the upstream hears of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_present(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do the work unless the client leaves; its body must have been read.

    Raises:
        ClientDisconnect: It left; the work was cancelled, and has ended.
    """
    working = asyncio.create_task(work, name="model-call")
    leaving = asyncio.create_task(_left(receive), name="model-caller")
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
