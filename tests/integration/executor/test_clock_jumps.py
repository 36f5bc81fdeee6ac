"""The wall clock of an executor jumps an hour ahead and an hour back while it works; nothing comes of it.

libfaketime turns the real clock of a real process: CLOCK_REALTIME alone, as a wrong NTP server or an operator would.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.executor.test_inline import ECHO, HANG, begin_hanging, wait_pid

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
LEASE_SECONDS = 20


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed; `make system-deps` does it on Debian")
async def test_an_hour_ahead_and_an_hour_back_lose_no_lease_and_end_nothing(site: Any) -> None:
    await site.add_skill("hang", HANG)
    await site.add_skill("echo", ECHO)
    turned = site.base / "clock"
    turned.write_text("+0\n")
    executor = await site.start_executor(
        durable=True,
        lease_seconds=LEASE_SECONDS,
        environ={
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(turned),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    for offset in ("+3600", "-3600"):
        gate = site.base / f"gate{offset}"
        notes = site.base / "notes"
        name, notes, waiting = await begin_hanging(site, gate=str(gate))
        await wait_pid(notes, 1)
        turned.write_text(f"{offset}\n")
        async with asyncio.timeout(60):
            while not said_at_that_time(executor.log, offset):
                await asyncio.sleep(0.05)
                await site.run("echo")
        (node,) = await site.nodes.page()
        left_seconds = (node["lease_expires_at"] - await site.nodes.now()).total_seconds()
        assert node["alive"]
        assert left_seconds <= LEASE_SECONDS
        for wait in (20, 0):  # one of each class, claimed and ended by a process with a wrong clock
            answer = await site.run("echo", wait=wait)
            row = await site.wait_end(answer.body["metadata"]["name"])
            assert (row["state"], row["attempt"]) == ("Succeeded", 1)
            assert abs((row["finished_at"] - await site.nodes.now()).total_seconds()) < 30
            at = [e.at for e in await site.events.read(row["id"])]
            assert (max(at) - min(at)).total_seconds() < 60
        gate.touch()
        assert (await waiting).body["status"]["attempt"] == 1
        assert (await site.executions.get(name))["state"] == "Succeeded"
        (notes / "1").unlink()
    assert executor.process.returncode is None


def said_at_that_time(log: Path, offset: str) -> bool:
    """Whether the process has logged something by its turned clock: proof that it is turned at all."""
    wanted = (datetime.now(UTC).timestamp() + int(offset)) % 86400
    lines = [line.split()[0] for line in log.read_text().splitlines() if line[2:3] == ":"]
    seconds = [sum(int(part) * unit for part, unit in zip(t.split(":"), (3600, 60, 1), strict=True)) for t in lines]
    return any(abs(at - wanted) % 86400 < 120 for at in seconds)
