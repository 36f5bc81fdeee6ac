"""The wall clock of an executor jumps an hour ahead and an hour back while it works; nothing comes of it.

The clock is turned inside the process (`TurnedClock`), for our own clock and for `time.time`.
"""

import asyncio
from datetime import timedelta
from typing import Any

from tests.integration.executor.test_inline import ECHO, HANG, begin_hanging, wait_pid

from aspora.records.ids import day_of

LEASE_SECONDS = 12


async def test_an_hour_ahead_and_an_hour_back_lose_no_lease_and_end_nothing(site: Any) -> None:
    await site.add_skill("hang", HANG)
    await site.add_skill("echo", ECHO)
    turned = site.base / "clock"
    turned.write_text("0")
    executor = await site.start_executor(durable=True, lease_seconds=LEASE_SECONDS, turned_clock=turned)
    for offset_seconds in (3600, -3600):
        gate = site.base / f"gate{offset_seconds}"
        name, notes, waiting = await begin_hanging(site, gate=str(gate))
        await wait_pid(notes, 1)
        (before,) = await site.nodes.page()
        turned.write_text(str(offset_seconds))
        for wait in (20, 0):  # one of each class, claimed and ended by a process whose clock is wrong
            answer = await site.run("echo", wait=wait)
            row = await site.wait_end(answer.body["metadata"]["name"], within_seconds=60)
            assert (row["state"], row["attempt"]) == ("Succeeded", 1)
            assert abs((row["finished_at"] - await site.nodes.now()).total_seconds()) < 60
            at = [e.at for e in await site.events.read(row["id"])]
            assert (max(at) - min(at)).total_seconds() < 60
        async with asyncio.timeout(60):
            while (node := (await site.nodes.page())[0])["lease_expires_at"] <= before["lease_expires_at"]:
                await asyncio.sleep(0.1)
        assert node["alive"]
        assert (node["lease_expires_at"] - await site.nodes.now()).total_seconds() <= LEASE_SECONDS
        gate.touch()
        await waiting
        row = await site.wait_end(name)
        assert (row["state"], row["attempt"]) == ("Succeeded", 1)
        (notes / "1").unlink()
    assert executor.process.returncode is None


async def test_a_gateway_whose_clock_is_days_off_accepts_what_is_claimed_at_once(site: Any) -> None:
    """Ids carry the database's day, whatever the gateway's clock says."""
    await site.add_skill("echo", ECHO)
    await site.start_executor(durable=True)
    for days in (-400, -3, 3, 0):
        site.clock.off = timedelta(days=days)
        for wait, headers in ((20, {}), (20, {"Idempotency-Key": f"k{days}"}), (0, {})):
            answer = await site.run("echo", wait=wait, headers=headers)
            assert answer.status in {201, 202}, answer.body
            name = answer.body["metadata"]["name"]
            row = await site.wait_end(name, within_seconds=60)
            assert (row["state"], row["attempt"]) == ("Succeeded", 1)
            assert abs(day_of(name) - (await site.nodes.now()).date()) <= timedelta(days=1)
            listed = (await site.call("GET", "/api/v1/executions?limit=1")).body["items"]
            assert [item["metadata"]["name"] for item in listed] == [name]
