"""A bank for tests: a real HTTP server that counts what it was asked, by operation and key, and answers when told."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

PACKAGE = Path(__file__).with_name("bank")


@dataclass
class BankServer:
    """What it was asked so far.

    Attributes:
        counts: Requests that took effect, by operation and the argument `key`.
        asked: All requests, also those that repeated an idempotency key.
        hold: Decides, by operation and key, whose answer waits; asked again after `let_go`.
        fail: The status that an operation answers with.
    """

    url: str = ""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    asked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    hold: Callable[[str, str], bool] = lambda _, __: False
    fail: dict[str, int] = field(default_factory=dict[str, int])
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    answers: dict[str, Any] = field(default_factory=dict[str, Any])

    async def answer(self, request: web.Request) -> web.Response:
        operation, body = request.match_info["operation"], await request.json()
        key = str(body.get("key", ""))
        known = request.headers.get("Idempotency-Key", "")
        async with self.changed:
            self.asked[operation, key] += 1
            if not known or known not in self.answers:
                self.counts[operation, key] += 1
            self.changed.notify_all()
        async with self.changed:
            await self.changed.wait_for(lambda: not self.hold(operation, key))
        if status := self.fail.get(operation):
            return web.json_response({"reason": "Conflict", "message": "no cover"}, status=status)
        value = {"z": self.counts.total(), "a": 1.0, "key": key}
        return web.json_response(self.answers.setdefault(known, value) if known else value)

    async def let_go(self, hold: Callable[[str, str], bool] = lambda _, __: False) -> None:
        """Answer those that wait, but for whom `hold` still names."""
        self.hold = hold
        async with self.changed:
            self.changed.notify_all()

    async def wait_asked(
        self, count: int, *, operation: str, key: str | None = None, within_seconds: float = 120
    ) -> None:
        """Until so many requests of that operation (and key) have come."""

        def so_many() -> bool:
            return sum(n for (name, k), n in self.asked.items() if name == operation and key in {None, k}) >= count

        async with asyncio.timeout(within_seconds), self.changed:
            await self.changed.wait_for(so_many)


@asynccontextmanager
async def bank_server() -> AsyncGenerator[BankServer]:
    """A running bank on the loopback interface."""
    bank, app = BankServer(), web.Application()
    app.router.add_post("/{operation}", bank.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bank.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield bank
    finally:
        await bank.let_go()
        await runner.cleanup()
