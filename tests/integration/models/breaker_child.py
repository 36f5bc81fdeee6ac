"""A process that takes the probe of an open circuit, says so, and does nothing more."""

import asyncio
import sys

from tests.integration.models.test_shared_breaker import ENDPOINT, start, until


async def main(dsn: str) -> None:
    process = await start(dsn, "child")
    await until(lambda: process.breaker._circuits != {} and not process.breaker.passes_over(ENDPOINT))
    assert process.is_open
    assert await process.breaker.obtain_probe(ENDPOINT)
    with process.admitted():
        print("probing", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
