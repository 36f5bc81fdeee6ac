"""The inline class end to end: HTTP in, a real sandbox process, a recorded result out."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from psycopg import AsyncConnection, sql

from aspora.gateway.serve.contract import SCHEMAS
from aspora.testing.sandbox_suite import BUSY_SECONDS

HEAD = (
    "from aspora_sdk import SkillResult, skill_handler\nimport os, sys, time\n@skill_handler\ndef handler(context):\n"
)
ECHO = (
    HEAD
    + """
    context.log.info("seen", keys=len(context.input.metadata))
    return SkillResult(success=True, message="hello " + context.input.user_message, data=dict(context.input.metadata))
"""
)
HANG = (
    HEAD
    + """
    with open(context.input.metadata["notes"] + "/" + str(context.config["attempt"]), "w") as f:
        f.write(str(os.getpid()))
    while not os.path.exists(context.input.metadata.get("gate", "/nowhere")):
        time.sleep(0.01)
    return SkillResult(success=True, message="attempt %d" % context.config["attempt"])
"""
)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def open_notes(site: Any) -> Path:
    folder: Path = site.base / "notes"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    return folder


async def wait_pid(notes: Path, attempt: int) -> int:
    """The handler's process in that attempt, once it runs."""
    path = notes / str(attempt)
    async with asyncio.timeout(60):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.01)
    return int(path.read_text())


@asynccontextmanager
async def refused_database(dsn: str) -> AsyncGenerator[None]:
    """The database with every connection cut and none let in, as long as the block runs."""
    parts = urlsplit(dsn)
    name = parts.path.removeprefix("/")
    target = sql.Identifier(name)
    async with await AsyncConnection.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as admin:
        await admin.execute(sql.SQL("alter database {} allow_connections false").format(target))
        try:
            await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            yield
        finally:
            await admin.execute(sql.SQL("alter database {} allow_connections true").format(target))


async def begin_hanging(site: Any, **metadata: Any) -> tuple[str, Path, "asyncio.Task[Any]"]:
    """An inline execution that runs and does not end; its name, notes and the waiting request."""
    notes = open_notes(site)
    waiting = asyncio.create_task(site.run("hang", {"notes": str(notes), **metadata}, wait=30))
    async with asyncio.timeout(30):
        while not (rows := (await site.call("GET", "/api/v1/executions?state=Pending,Running")).body["items"]):
            await asyncio.sleep(0.01)
    return rows[0]["metadata"]["name"], notes, waiting


async def test_a_handler_runs_and_its_execution_says_everything(site: Any) -> None:
    revision = await site.add_skill("echo", ECHO)
    await site.start_executor()
    answer = await site.run("echo", {"b": 1, "a": "ü"}, message="world")
    assert answer.status == 201, answer.body
    obj = answer.body
    assert obj["spec"]["revision"] == revision
    assert obj["spec"]["class"] == "inline"
    assert obj["spec"]["input"] == {"userMessage": "world", "userId": "u1", "metadata": {"b": 1, "a": "ü"}}
    status = obj["status"]
    assert (status["state"], status["attempt"], status["driver"]) == ("Succeeded", 1, "process")
    expected = {"success": True, "message": "hello world", "data": {"b": 1, "a": "ü"}, "confidence": None}
    assert status["result"] == expected
    assert list(status["result"]["data"]) == ["b", "a"]
    assert list(status["stages"]) == ["gateway", "record", "artifact", "process", "finish"]
    assert answer.headers["Location"].endswith(obj["metadata"]["name"])
    events = await site.events.read(obj["metadata"]["name"])
    assert [e.type for e in events] == ["Created", "Started", "Log", "HandlerEnded", "Finished"]
    assert events[2].data["fields"] == {"keys": 2}
    as_published = {"$ref": "#/components/schemas/Execution", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(as_published).validate(obj)


async def test_what_goes_wrong_in_a_handler_is_named(site: Any) -> None:
    await site.add_skill("raises", HEAD + "    raise RuntimeError('no luck')\n")
    await site.add_skill("slow", HEAD + "    time.sleep(30)\n", runtime={"timeoutSeconds": 1})
    await site.add_skill("nul", HEAD + "    return SkillResult(success=True, message='a\\x00b')\n")
    await site.add_skill("asks", HEAD + "    return SkillResult(True, context.apis.trm.check(x=1).wait())\n")
    await site.start_executor()
    found = {}
    for skill in ("raises", "slow", "nul", "asks"):
        body = (await site.run(skill)).body
        found[skill] = (body["status"]["state"], body["status"]["reason"])
        assert body["status"]["message"]
    assert found["raises"] == ("Failed", "HandlerRaised")
    assert found["slow"] == ("Failed", "TimedOut")
    assert found["nul"] == ("Failed", "InvalidResult")
    assert found["asks"] == ("Failed", "HandlerRaised")
    calls = [
        e
        for row in (await site.call("GET", "/api/v1/executions?skill=asks")).body["items"]
        for e in await site.events.read(row["metadata"]["name"])
        if e.type == "HostCall"
    ]
    assert [(e.data["method"], e.data["outcome"]) for e in calls] == [("apis.trm.check", "Forbidden")]


async def test_a_handler_is_refused_what_its_skill_blocks(site: Any) -> None:
    code = (
        HEAD.replace("def handler", "async def handler")
        + """
    found = {}
    for path in ("references/open.md", "references/runbooks/closed.md"):
        try:
            found[path] = await context.tools.read(path=path)
        except Exception as error:
            found[path] = str(error)
    return SkillResult(success=True, message="read", data=found)
"""
    )
    files = {"references/open.md": "open", "references/runbooks/closed.md": "closed"}
    permissions = {"tools": ["read"], "blockedResources": ["references/runbooks/*"]}
    await site.add_skill("reads", code, files=files, permissions=permissions)
    await site.start_executor()
    data = (await site.run("reads")).body["status"]["result"]["data"]
    assert data["references/open.md"] == "open"
    assert "blocked_resources" in data["references/runbooks/closed.md"]


async def test_large_inputs_and_results_go_by_reference_and_come_back_whole(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    await site.start_executor()
    big = "x" * 200_000
    answer = await site.run("echo", {"big": big})
    name = answer.body["metadata"]["name"]
    row = await site.executions.get(name)
    assert row["input"] is None
    assert row["input_ref"].startswith("sha256:")
    assert row["result"] is None
    assert row["result_ref"].startswith("sha256:")
    assert answer.body["status"]["result"]["data"]["big"] == big
    again = await site.call("GET", f"/api/v1/executions/{name}")
    assert again.body["spec"]["input"]["metadata"]["big"] == big


async def test_a_cancelled_handler_is_dead_within_two_seconds(site: Any) -> None:
    await site.add_skill("hang", HANG)
    await site.start_executor()
    name, notes, waiting = await begin_hanging(site)
    pid = await wait_pid(notes, 1)
    asked_at = asyncio.get_running_loop().time()
    answer = await site.call("POST", f"/api/v1/domains/test/executions/{name}/cancel?wait=20")
    took_seconds = asyncio.get_running_loop().time() - asked_at
    assert (answer.status, answer.body["status"]["state"]) == (200, "Cancelled")
    assert took_seconds < 2.0 + BUSY_SECONDS
    assert not is_alive(pid)
    assert (await waiting).body["status"]["state"] == "Cancelled"
    again = await site.call("POST", f"/api/v1/executions/{name}/cancel")
    assert (again.status, again.body["status"]["state"]) == (200, "Cancelled")


async def test_what_waits_is_cancelled_at_once_and_what_ended_is_not(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    waiting = asyncio.create_task(site.run("echo", wait=20))
    async with asyncio.timeout(30):
        while not (items := (await site.call("GET", "/api/v1/executions")).body["items"]):
            await asyncio.sleep(0.01)
    cancelled = await site.call("POST", f"/api/v1/executions/{items[0]['metadata']['name']}/cancel")
    assert (cancelled.status, cancelled.body["status"]["state"]) == (200, "Cancelled")
    assert (await waiting).body["status"]["message"] == "cancelled before it ran"
    await site.start_executor()
    done = (await site.run("echo")).body
    refused = await site.call("POST", f"/api/v1/executions/{done['metadata']['name']}/cancel")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")


async def test_after_kill_9_another_executor_takes_the_work_and_the_orphan_is_gone(site: Any) -> None:
    await site.add_skill("hang", HANG)
    first = await site.start_executor()
    gate = site.base / "gate"
    name, notes, waiting = await begin_hanging(site, gate=str(gate))
    orphan = await wait_pid(notes, 1)
    await first.kill(signal.SIGKILL)
    await site.let_leases_lapse()
    await site.start_executor()
    await wait_pid(notes, 2)
    assert not is_alive(orphan)
    gate.touch()
    body = (await waiting).body
    assert (body["status"]["state"], body["status"]["attempt"]) == ("Succeeded", 2)
    assert body["status"]["result"]["message"] == "attempt 2"
    requeued = [e for e in await site.events.read(name) if e.type == "Requeued"]
    assert [e.data["reason"] for e in requeued] == ["NodeLost"]
    states = {
        n["metadata"]["name"]: n["status"]["state"] for n in (await site.call("GET", "/api/v1/nodes")).body["items"]
    }
    assert sorted(states.values()) == ["Alive", "Lost"]


async def test_a_stopping_executor_gives_back_what_it_cannot_finish(site: Any) -> None:
    await site.add_skill("hang", HANG)
    first = await site.start_executor(grace_seconds=0.3)
    gate = site.base / "gate"
    name, notes, waiting = await begin_hanging(site, gate=str(gate))
    pid = await wait_pid(notes, 1)
    assert await first.kill(signal.SIGTERM) == 0
    assert not is_alive(pid)
    assert (await site.executions.get(name))["state"] == "Pending"
    gate.touch()
    await site.start_executor()
    body = (await waiting).body
    assert (body["status"]["state"], body["status"]["attempt"]) == ("Succeeded", 2)
    requeued = [e.data["reason"] for e in await site.events.read(name) if e.type == "Requeued"]
    assert requeued == ["NodeStopping"]


async def test_a_fenced_executor_changes_nothing(site: Any) -> None:
    """It sleeps through its lease, another finishes the work, and its own word comes too late."""
    await site.add_skill("hang", HANG)
    first = await site.start_executor(dies=False)
    gate = site.base / "gate"
    name, notes, waiting = await begin_hanging(site, gate=str(gate))
    await wait_pid(notes, 1)
    first.process.send_signal(signal.SIGSTOP)
    await site.let_leases_lapse()
    await site.start_executor()
    await wait_pid(notes, 2)
    gate.touch()
    assert (await waiting).body["status"]["result"]["message"] == "attempt 2"
    first.process.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(first.process.wait(), 60) != 0
    assert "LeaseLost" in first.log.read_text()
    row = await site.executions.get(name)
    assert (row["attempt"], row["result"]["message"]) == (2, "attempt 2")
    assert [e.type for e in await site.events.read(name)].count("Finished") == 1


async def test_an_executor_that_is_stopped_dies_with_its_handlers_before_its_lease_is_over(site: Any) -> None:
    """It can't look at any clock: the kernel ends it, and then its supervisors end what it ran."""
    await site.add_skill("hang", HANG)
    executor = await site.start_executor(lease_seconds=8)
    _, notes, waiting = await begin_hanging(site)
    pid = await wait_pid(notes, 1)
    executor.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(30):
        assert await executor.process.wait() == -signal.SIGKILL
        while is_alive(pid):
            await asyncio.sleep(0.01)
    assert [n["alive"] for n in await site.nodes.page()] == [True]
    waiting.cancel()


async def test_an_executor_without_its_database_ends_its_handlers_first(site: Any) -> None:
    await site.add_skill("hang", HANG)
    executor = await site.start_executor(lease_seconds=10)
    name, notes, waiting = await begin_hanging(site)
    pid = await wait_pid(notes, 1)
    async with refused_database(site.dsn), asyncio.timeout(30):
        while "handlers ended, the lease being lost" not in executor.log.read_text():
            await asyncio.sleep(0.01)
        assert not is_alive(pid)
        assert await executor.process.wait() != 0
    assert (await site.executions.get(name))["state"] == "Running"
    waiting.cancel()


async def test_a_handler_outlives_a_database_that_drops_every_connection(site: Any) -> None:
    """A claim that fails ends nothing that runs, and the end is written once the database answers again."""
    await site.add_skill("hang", HANG)
    executor = await site.start_executor(lease_seconds=60, durable=True)
    gate = site.base / "gate"
    name, notes, waiting = await begin_hanging(site, gate=str(gate))
    pid = await wait_pid(notes, 1)
    async with refused_database(site.dsn):
        async with asyncio.timeout(30):
            while "no work claimed" not in executor.log.read_text():
                await asyncio.sleep(0.01)
        assert is_alive(pid)
        gate.touch()
        async with asyncio.timeout(30):
            while is_alive(pid):
                await asyncio.sleep(0.01)
    row = await site.wait_end(name, within_seconds=60)
    assert (row["state"], row["attempt"], row["result"]["message"]) == ("Succeeded", 1, "attempt 1")
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await site.run("hang", {"notes": str(notes), "gate": str(gate)})).body["status"]["state"] == "Succeeded"


async def test_events_are_followed_while_it_runs(site: Any) -> None:
    await site.add_skill("hang", HANG)
    await site.start_executor()
    gate = site.base / "gate"
    name, _, waiting = await begin_hanging(site, gate=str(gate))
    path = f"{site.url}/api/v1/domains/test/executions/{name}/events?follow=true"
    types: list[str] = []
    async with site.session.get(path, headers={"authorization": "Bearer tester"}) as stream:
        async for line in stream.content:
            event = json.loads(line)
            types.append(event["type"])
            if event["type"] == "Started":
                gate.touch()
    assert types[:2] == ["Created", "Started"]
    assert types[-1] == "Finished"
    assert (await waiting).status == 201


async def test_sixteen_at_once_all_end(site: Any) -> None:
    await site.add_skill("echo", ECHO)
    await site.start_executor(slots=4)
    answers = await asyncio.gather(*(site.run("echo", {"n": n}) for n in range(16)))
    assert [a.body["status"]["result"]["data"]["n"] for a in answers] == list(range(16))
