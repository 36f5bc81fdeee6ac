"""The durable class on the real workflow engine: run, crash, take over, cancel, stop by design."""

import asyncio
import signal
from pathlib import Path
from typing import Any

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
    async with asyncio.timeout(30):
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
