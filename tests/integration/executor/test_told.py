"""What executions leave beside themselves: the audit of who asked, and events of the skill when they fail."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from tests.integration.executor.test_inline import ECHO, HANG, HEAD, begin_hanging, wait_pid

from aspora.audit.interface import AuditFilter
from aspora.audit.trail import Audit
from aspora.records.happenings import HappeningFilter, Happenings

BROKEN = HEAD + "    raise RuntimeError('boom')\n"


async def audited(site: Any, *, count: int) -> Sequence[Any]:
    audit = Audit(site.database)
    async with asyncio.timeout(30):
        while len(rows := await audit.page(AuditFilter(kind="Execution"), limit=100)) < count:
            await asyncio.sleep(0.02)
    return list(reversed(rows))


async def told(site: Any, *, reason: str, count: int = 1) -> Any:
    happenings = Happenings(site.database)
    async with asyncio.timeout(60):
        while True:
            rows = (await happenings.page(HappeningFilter(domains=("test",), reason=reason), limit=10)).rows
            if sum(row["count"] for row in rows) >= count:
                [row] = rows
                return row
            await asyncio.sleep(0.02)


async def test_who_ran_and_cancelled_is_audited(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    waiting = asyncio.create_task(site.run("echo", wait=20))
    [created] = await audited(site, count=1)
    name = created["name"]
    assert (created["verb"], created["domain"], created["outcome"]) == ("create", "test", "Accepted")
    assert (created["caller"], created["remote"]) == ("tester", "127.0.0.1")
    await site.call("POST", f"/api/v1/domains/test/executions/{name}/cancel")
    await waiting
    refused = await site.call("POST", "/api/v1/domains/test/skills/none/executions", {"input": {}})
    assert refused.status == 404
    rows = await audited(site, count=3)
    assert [(r["verb"], r["name"], r["outcome"]) for r in rows[1:]] == [
        ("cancel", name, "Accepted"),
        ("create", "none", "NotFound"),
    ]


async def test_failures_are_one_event_of_the_skill_with_a_count(site: Any) -> None:
    await site.add_skill("broken", BROKEN)
    await site.start_executor()
    for _ in range(3):
        assert (await site.run("broken")).body["status"]["state"] == "Failed"
    row = await told(site, reason="ExecutionFailed", count=3)
    assert (row["type"], row["regarding_kind"], row["regarding_name"], row["count"]) == (
        "Warning",
        "Skill",
        "broken",
        3,
    )
    assert "boom" not in row["message"]
    assert "--skill test/broken" in row["message"]


async def test_work_taken_back_from_a_lost_node_is_told(site: Any) -> None:
    await site.add_skill("hang", HANG)
    first = await site.start_executor()
    gate = site.base / "gate"
    _, notes, waiting = await begin_hanging(site, gate=str(gate))
    await wait_pid(notes, 1)
    await first.kill(signal.SIGKILL)
    await site.let_leases_lapse()
    await site.start_executor()
    row = await told(site, reason="NodeLost")
    assert (row["type"], row["regarding_name"], row["controller"]) == ("Warning", "hang", "executor")
    gate.touch()
    await waiting
