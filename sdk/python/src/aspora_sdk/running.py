"""Run a handler, plain or async, and hold it to its word: each call it made was sent, its result can travel."""

from __future__ import annotations

import sys

from aspora_sdk.errors import InvalidResultError
from aspora_sdk.result import to_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from aspora_sdk.context import SkillContext
    from aspora_sdk.link import Link
    from aspora_sdk.loading import Handler


def run_handler(handler: Handler, context: SkillContext, link: Link) -> dict[str, Any]:
    """Run the handler to its end and return the wire's result.

    Raises:
        InvalidResultError: The result cannot travel, or a capability call was made but never awaited.
        BaseException: Whatever the handler raises.
    """
    returned = handler(context)
    if hasattr(returned, "__await__"):
        returned = _drive(returned, link)  # pyright: ignore[reportArgumentType] - just seen to be awaitable
    if link.unsent:
        methods = ", ".join(sorted({call.method for call in link.unsent.values()}))
        raise InvalidResultError(
            f"calls were made but never sent: {methods}; write `await` before each (a plain def: `.wait()` after it)"
        )
    return to_wire(returned)


def _drive(awaitable: Awaitable[Any], link: Link) -> Any:
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        return asyncio.run(link.serve(awaitable))
    try:
        awaitable.__await__().send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError(
        "the handler awaits something that needs an event loop; write `import asyncio` at the top of its module"
    )
