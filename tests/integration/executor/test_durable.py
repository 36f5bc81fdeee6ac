"""The durable class on the real workflow engine: run, crash, take over, cancel, stop by design."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from aspora.db.listen import Listener
from aspora.records.wakeups import QUEUED
from aspora.testing.model_server import ModelServer, parse_script
from aspora.testing.sandbox_suite import BUSY_SECONDS

NOTE = """
import os, time
from aspora_sdk import SkillResult, skill_handler

@skill_handler
def handler(context):
    meta = context.input.metadata
    with open(meta["notes"] + "/" + str(context.config["attempt"]) + "-" + str(os.getpid()), "w") as f:
        f.write("began")
    gate = meta.get("gate")
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return SkillResult(success=True, message="done in attempt %d" % context.config["attempt"])
"""


def notes_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def open_notes(site: Any) -> Path:
    folder = site.base / "notes"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


async def wait_notes(folder: Path, count: int) -> list[str]:
    async with asyncio.timeout(60):
        while len(found := notes_of(folder)) < count:
            await asyncio.sleep(0.02)
    return found


async def test_a_durable_execution_runs_once_and_is_followed(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True})
    notes = await open_notes(site)
    await site.start_executor(durable=True)
    answer = await site.run("note", {"notes": str(notes)})
    assert answer.status == 201, answer.body
    assert answer.body["spec"]["class"] == "durable"
    assert answer.body["status"]["state"] == "Succeeded"
    assert answer.body["status"]["attempt"] == 1
    assert len(notes_of(notes)) == 1


async def test_executors_are_told_of_a_new_durable_execution(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True})
    notes = await open_notes(site)
    await site.start_executor(durable=True)
    listener, stop = Listener(site.dsn, (QUEUED,)), asyncio.Event()
    listening = asyncio.create_task(listener.run(stop))
    with listener.subscribe(QUEUED) as wakeups:
        assert await listener.wait_connected(30)
        await wakeups.wait(0)
        answer = await site.run("note", {"notes": str(notes)})
        assert answer.body["status"]["state"] == "Succeeded"
        assert await wakeups.wait(30)
    stop.set()
    await listening


async def test_after_kill_9_in_mid_run_it_ends_once_and_says_so(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True, "timeoutSeconds": 60})
    notes = await open_notes(site)
    first = await site.start_executor(durable=True)
    gate = site.base / "gate"
    answer = await site.run("note", {"notes": str(notes), "gate": str(gate)}, wait=0)
    assert answer.status == 202
    name = answer.body["metadata"]["name"]
    await wait_notes(notes, 1)
    await first.kill(signal.SIGKILL)
    await site.let_leases_lapse()
    await site.start_executor(durable=True)
    await wait_notes(notes, 2)
    gate.touch()
    row = await site.wait_end(name)
    assert (row["state"], row["attempt"]) == ("Succeeded", 2)
    assert row["result"]["message"] == "done in attempt 2"
    types = [e.type for e in await site.events.read(name)]
    assert types.count("Finished") == 1
    assert types.count("Started") == 2
    assert len(notes_of(notes)) == 2


async def test_a_cancelled_durable_handler_is_dead_within_two_seconds(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True, "timeoutSeconds": 60})
    notes = await open_notes(site)
    await site.start_executor(durable=True)
    answer = await site.run("note", {"notes": str(notes), "gate": "/nowhere"}, wait=0)
    (note,) = await wait_notes(notes, 1)
    asked_at = asyncio.get_running_loop().time()
    name = answer.body["metadata"]["name"]
    cancelled = await site.call("POST", f"/api/v1/executions/{name}/cancel?wait=20")
    assert asyncio.get_running_loop().time() - asked_at < 2.0 + BUSY_SECONDS
    assert cancelled.body["status"]["state"] == "Cancelled"
    assert not Path(f"/proc/{note.split('-')[1]}").exists()


async def test_a_durable_execution_cancelled_while_it_waits_never_runs(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True})
    notes = await open_notes(site)
    first = await site.start_executor(durable=True)
    await first.kill(signal.SIGKILL)
    answer = await site.run("note", {"notes": str(notes)}, wait=0)
    name = answer.body["metadata"]["name"]
    cancelled = await site.call("POST", f"/api/v1/executions/{name}/cancel")
    assert cancelled.body["status"]["state"] == "Cancelled"
    await site.start_executor(durable=True)
    other = await site.run("note", {"notes": str(notes)})
    assert other.body["status"]["state"] == "Succeeded"
    row = await site.executions.get(name)
    assert (row["state"], row["attempt"]) == ("Cancelled", 0)
    assert len(notes_of(notes)) == 1


async def test_an_executor_told_to_stop_leaves_its_work_to_the_next(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True, "timeoutSeconds": 60})
    notes = await open_notes(site)
    first = await site.start_executor(durable=True, grace_seconds=0.3)
    gate = site.base / "gate"
    answer = await site.run("note", {"notes": str(notes), "gate": str(gate)}, wait=0)
    await wait_notes(notes, 1)
    began = asyncio.get_running_loop().time()
    assert await first.kill(signal.SIGTERM) == 0, first.log.read_text()
    assert asyncio.get_running_loop().time() - began < 10
    gate.touch()
    await site.start_executor(durable=True)
    row = await site.wait_end(answer.body["metadata"]["name"])
    assert (row["state"], row["attempt"]) == ("Succeeded", 2)


async def test_another_executor_takes_over_when_the_lease_of_one_runs_out(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True, "timeoutSeconds": 60})
    notes = await open_notes(site)
    first = await site.start_executor(durable=True, lease_seconds=6)
    gate = site.base / "gate"
    answer = await site.run("note", {"notes": str(notes), "gate": str(gate)}, wait=0)
    await wait_notes(notes, 1)
    await site.start_executor(durable=True, lease_seconds=8)
    first.process.send_signal(signal.SIGSTOP)
    await wait_notes(notes, 2)
    gate.touch()
    row = await site.wait_end(answer.body["metadata"]["name"])
    assert (row["state"], row["attempt"]) == ("Succeeded", 2)
    # The kernel ended the first one while it was stopped, before its lease was over.
    assert await asyncio.wait_for(first.process.wait(), 30) == -signal.SIGKILL
    assert await asyncio.wait_for(first.process.wait(), 30) != 0
    row = await site.executions.get(row["id"])
    assert (row["attempt"], row["result"]["message"]) == (2, "done in attempt 2")


async def test_a_durable_handler_over_its_time_fails(site: Any) -> None:
    await site.add_skill("note", NOTE, runtime={"durable": True, "timeoutSeconds": 1})
    notes = await open_notes(site)
    await site.start_executor(durable=True)
    answer = await site.run("note", {"notes": str(notes), "gate": "/nowhere"})
    assert (answer.body["status"]["state"], answer.body["status"]["reason"]) == ("Failed", "TimedOut")


TICKET = {"tool_calls": [{"name": "read", "arguments": {"path": "references/tone.md"}}]}


async def test_an_agent_run_is_recorded_with_what_it_cost(site: Any) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "cost": "0.0005"}
    script = parse_script({"sequence": [{**TICKET, "usage": usage}, {"answer": "Be brief, then.", "usage": usage}]})
    async with ModelServer(script) as models:
        site.environment["ASPORA_MODEL_URL"] = models.url
        await site.add_skill("brief", None, files={"references/tone.md": "# Tone\n\nBe brief."})
        await site.start_executor(durable=True)
        answer = await site.run("brief", message="how?")
    status = answer.body["status"]
    assert (status["state"], status["result"]["message"]) == ("Succeeded", "Be brief, then.")
    assert (status["costMicroUsd"], status["inputTokens"], status["outputTokens"]) == (1000, 180, 18)
    assert status["driver"] == "agent"
    assert "model" in status["stages"]
    calls = await site.executions.model_calls(answer.body["metadata"]["name"])
    assert [(c["alias"], c["outcome"], c["cost_micro_usd"]) for c in calls] == [("claude-sonnet-4-5", "ok", 500)] * 2
    types = [e.type for e in await site.events.read(answer.body["metadata"]["name"])]
    assert types == ["Created", "Started", "ModelCall", "ToolCall", "ModelCall", "Finished"]


async def test_a_model_request_that_was_answered_is_not_made_again_after_kill_9(site: Any) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "cost": "0.0005"}
    hang = {"fault": {"kind": "hang_before_headers"}}
    script = parse_script({"sequence": [{**TICKET, "usage": usage}, hang, {"answer": "Done.", "usage": usage}]})
    async with ModelServer(script) as models:
        site.environment["ASPORA_MODEL_URL"] = models.url
        await site.add_skill("brief", None, files={"references/tone.md": "# Tone\n\nBe brief."})
        first = await site.start_executor(durable=True)
        answer = await site.run("brief", message="how?", wait=0)
        await models.wait_for(2)
        await first.kill(signal.SIGKILL)
        await site.let_leases_lapse()
        await site.start_executor(durable=True)
        row = await site.wait_end(answer.body["metadata"]["name"])
        assert len(models.completions) == 3
    assert (row["state"], row["attempt"], row["result"]["message"]) == ("Succeeded", 2, "Done.")
    types = [(e.attempt, e.type) for e in await site.events.read(row["id"])]
    assert types.count((1, "ModelCall")) == 1
    assert types.count((2, "ModelCall")) == 1
    assert types.count((2, "ToolCall")) == 0
    assert row["cost_micro_usd"] == 1000
