"""Real processes share a cap of $5: one is killed in the middle, one is stopped beyond its lease.

Some calls at a time by default, 500 in each process with ASPORA_TEST_FAULTS=full.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.ledger import spender
from tests.integration.ledger.conftest import Site

from aspora.ledger.doubts import LedgerDoubts

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
WIDTH = 500 if IS_FULL else 16
SAMPLE_SECONDS = 0.05
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@dataclass(frozen=True)
class Charge:
    call: str
    cost: int
    epoch: int


def charges(bill: Path) -> list[Charge]:
    fields = (line.split() for line in bill.read_text().splitlines())
    return [Charge(call, int(cost), int(epoch)) for call, cost, epoch in fields]


@pytest.fixture
async def start(dsn: str, tmp_path: Path) -> AsyncGenerator[Start]:
    started: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, spender.__file__, dsn, str(tmp_path / "bill"), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(process)
        await expect(process, "ready")
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def expect(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip() == line


def begin(*processes: asyncio.subprocess.Process) -> None:
    """All are ready: now they spend."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")


async def until(reached: Callable[[], Awaitable[bool]], *, within_seconds: float = 30) -> None:
    async with asyncio.timeout(within_seconds):
        while not await reached():
            await asyncio.sleep(0.02)


async def sample(site: Site, seen: list[dict[str, Any]]) -> None:
    """What the capped account says, again and again."""
    while True:
        seen += await site.rows("select spent, leased, overrun from ledger_accounts where scope_kind = 'skill'")
        await asyncio.sleep(SAMPLE_SECONDS)


async def test_a_cap_holds_when_one_of_two_processes_is_killed(site: Site, start: Start, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    sampling = asyncio.create_task(sample(site, seen))
    # However late it is killed, calls of the victim's are under way: its upstream ceases to answer.
    victim, survivor = await asyncio.gather(start(str(WIDTH), str(WIDTH)), start(str(WIDTH)))
    begin(victim, survivor)

    async def is_under_way() -> bool:
        rows = await site.rows("select spent from ledger_accounts where scope_kind = 'skill'")
        both = (tmp_path / "bill").exists() and len({charge.epoch for charge in charges(tmp_path / "bill")}) == 2
        return both and bool(rows) and rows[0]["spent"] > spender.CAP_MICRO_USD // 5

    await until(is_under_way)
    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    assert await asyncio.wait_for(survivor.wait(), 60) == 0
    await LedgerDoubts(site.database).sweep()
    sampling.cancel()
    assert [row for row in seen if row["spent"] + row["leased"] > spender.CAP_MICRO_USD] == []
    assert {row["overrun"] for row in seen} == {0}

    account = await site.account()
    assert account["spent"] >= spender.CAP_MICRO_USD * 95 // 100
    assert account["leased"] == 0
    settled = {r["id"]: r["cost"] for r in await site.rows("select id, cost from ledger_calls")}
    doubted = {r["id"]: r["hold"] for r in await site.rows("select id, hold from ledger_intents where in_doubt")}
    bill = charges(tmp_path / "bill")
    assert len({charge.epoch for charge in bill}) >= 2, "both spent"
    for charge in bill:
        assert settled.get(charge.call) == charge.cost or doubted[charge.call] >= charge.cost
    assert set(settled) <= {charge.call for charge in bill}
    assert account["spent"] == sum(settled.values()) + sum(doubted.values())
    assert account["in_doubt"] == sum(doubted.values())
    assert doubted, "it was killed with calls under way"


async def test_a_process_asleep_beyond_its_lease_sends_nothing(site: Site, start: Start) -> None:
    sleeper = await start("asleep")
    begin(sleeper)
    await expect(sleeper, "may send 3")

    async def is_swept() -> bool:
        return bool(await LedgerDoubts(site.database).sweep())

    await until(is_swept)
    assert (await site.account())["in_doubt"] == 3 * spender.HOLD_MICRO_USD
    sleeper.send_signal(signal.SIGCONT)
    await expect(sleeper, "may send 0")
    await expect(sleeper, "again True True")
    assert await asyncio.wait_for(sleeper.wait(), 30) == 0
    account = await site.account()
    assert (account["spent"], account["leased"], account["in_doubt"]) == (0, 0, 0)
