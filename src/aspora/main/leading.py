"""Who of several processes does what only one may do at a time."""

import asyncio

from aspora.kit.supervise import Loop


async def run_as_leader(name: str, run: Loop, stop: asyncio.Event) -> None:
    """Run `run` until `stop`.

    Args:
        name: Of the office; processes that name the same one take turns at it.

    There is no election yet: each process runs it. Controllers bear that, since they act on what they read, write
    by compare-and-set, and are safe to run twice; it costs their writes a Conflict now and then.
    """
    del name
    await run(stop)
