"""Connector calls end to end: a handler in its sandbox, the journal, another package's connector, a real server."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from tests.integration.executor.bank_server import PACKAGE, BankServer, bank_server

from aspora.records.effects import Effects
from aspora.sandbox.process import procfs
from aspora.sandbox.process.strays import SUPERVISOR_NAME

PAY = """
import asyncio
from aspora_sdk import CapabilityError, SkillResult, skill_handler

@skill_handler
async def handler(context):
    meta = context.input.metadata
    balance = await context.apis.bank.balance(key=meta["key"])
    calls = [getattr(context.apis.bank, name)(key=meta["key"]) for name in meta.get("calls", ["pay"])]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    told = [a if isinstance(a, dict) else [a.reason, a.message] for a in answers]
    return SkillResult(success=True, message="paid", data={"balance": balance, "answers": told})
"""
WRITES = {"permissions": {"apis": [{"name": "bank", "access": "write"}]}, "runtime": {"timeoutSeconds": 60}}


@pytest.fixture
async def bank() -> AsyncGenerator[BankServer]:
    async with bank_server() as running:
        yield running


def with_bank(bank: BankServer) -> Mapping[str, str]:
    path = os.pathsep.join(p for p in (str(PACKAGE), os.environ.get("PYTHONPATH", "")) if p)
    return {"PYTHONPATH": path, "BANK_URL": bank.url}


async def host_calls(site: Any, name: str) -> list[tuple[str, str]]:
    return [(e.data["method"], e.data["outcome"]) for e in await site.events.read(name) if e.type == "HostCall"]


async def test_a_call_goes_out_once_and_leaves_a_finished_effect(site: Any, bank: BankServer) -> None:
    await site.add_skill("pay", PAY, **WRITES)
    await site.start_executor(durable=True, environ=with_bank(bank))
    answer = await site.run("pay", {"key": "k", "calls": ["pay", "pay", "refund"]})
    assert (answer.status, answer.body["spec"]["class"]) == (201, "durable"), answer.body
    status = answer.body["status"]
    assert (status["state"], status["result"]["data"]["balance"]["a"]) == ("Succeeded", 1.0), status
    assert bank.counts == {("balance", "k"): 1, ("pay", "k"): 2, ("refund", "k"): 1}
    rows = await Effects(site.database).of(answer.body["metadata"]["name"])
    found = sorted((r["operation"], r["occurrence"], r["state"], r["is_write"], r["idempotent"]) for r in rows)
    assert found == [
        ("balance", 0, "done", False, True),
        ("pay", 0, "done", True, False),
        ("pay", 1, "done", True, False),
        ("refund", 0, "done", True, True),
    ]
    name = answer.body["metadata"]["name"]
    accept = {"accept": "application/json;as=Description"}
    described = json.dumps((await site.call("GET", f"/api/v1/executions/{name}", headers=accept)).body)
    assert "bank.refund" in described


async def test_what_is_not_permitted_or_not_there_is_told_to_the_handler(site: Any, bank: BankServer) -> None:
    code = """
from aspora_sdk import CapabilityError, SkillResult, skill_handler

@skill_handler
def handler(context):
    found = {}
    for connector, operation in (("bank", "pay"), ("bank", "rob"), ("bnk", "pay"), ("mint", "coin")):
        try:
            found[connector + "." + operation] = context.apis[connector][operation](key="k").wait()
        except CapabilityError as error:
            found[connector + "." + operation] = error.reason + ": " + error.message
    return SkillResult(success=True, message="", data=found)
"""
    reads = {"apis": [{"name": "bank", "access": "read"}, {"name": "mint", "access": "read"}]}
    await site.add_skill("tries", code, permissions=reads)
    await site.start_executor(environ=with_bank(bank))
    answer = await site.run("tries")
    assert answer.body["spec"]["class"] == "inline"
    data = answer.body["status"]["result"]["data"]
    assert data["bank.pay"].startswith("Forbidden: bank.pay may change something")
    assert "access: write" in data["bank.pay"]
    assert data["bank.rob"] == "MethodNotAllowed: bank has no operation 'rob'; known: balance, pay, refund"
    assert data["bnk.pay"].startswith("Forbidden: this skill may not call apis.bnk; add {name: bnk}")
    assert data["mint.coin"].startswith("NotFound: unknown connector 'mint'; known: bank; install")
    assert bank.asked == {}


async def test_a_refusal_is_an_end_and_a_write_in_doubt_ends_the_execution(site: Any, bank: BankServer) -> None:
    await site.add_skill("pay", PAY, **WRITES)
    await site.start_executor(durable=True, environ=with_bank(bank))
    bank.fail["pay"] = 409
    refused = (await site.run("pay", {"key": "refused"})).body["status"]
    assert (refused["state"], refused["result"]["data"]["answers"]) == ("Succeeded", [["Conflict", "no cover"]])
    bank.fail["pay"] = 502
    doubted = (await site.run("pay", {"key": "doubted", "calls": ["pay", "refund"]})).body
    status = doubted["status"]
    assert (status["state"], status["reason"]) == ("Failed", "EffectInDoubt"), status
    assert "bank.pay" in status["message"]
    assert bank.counts["pay", "doubted"] == 1
    rows = await Effects(site.database).of(doubted["metadata"]["name"])
    assert ("pay", "in_doubt") in [(r["operation"], r["state"]) for r in rows]


async def test_what_carries_a_key_is_repeated_while_its_outcome_is_unknown(site: Any, bank: BankServer) -> None:
    await site.add_skill("pay", PAY, **WRITES)
    await site.start_executor(durable=True, environ=with_bank(bank))
    bank.fail["refund"] = 502
    running = asyncio.create_task(site.run("pay", {"key": "k", "calls": ["refund"]}))
    await bank.wait_asked(2, operation="refund")
    del bank.fail["refund"]
    status = (await running).body["status"]
    assert (status["state"], status["attempt"]) == ("Succeeded", 1), status
    assert status["result"]["data"]["answers"][0]["key"] == "k"


async def test_a_handler_that_ends_before_its_answer_leaves_the_effect_in_doubt(site: Any, bank: BankServer) -> None:
    """It runs out of time, or is cancelled, while a payment is under way."""
    spec = {**WRITES, "runtime": {"timeoutSeconds": 6}}
    await site.add_skill("pay", PAY, **spec)
    await site.start_executor(durable=True, environ=with_bank(bank))
    bank.hold = lambda operation, _: operation == "pay"
    late = (await site.run("pay", {"key": "late"})).body
    assert (late["status"]["state"], late["status"]["reason"]) == ("Failed", "EffectInDoubt"), late["status"]
    answer = await site.run("pay", {"key": "cancelled"}, wait=0)
    name = answer.body["metadata"]["name"]
    await bank.wait_asked(2, operation="pay")
    cancelled = await site.call("POST", f"/api/v1/executions/{name}/cancel?wait=10")
    assert cancelled.body["status"]["state"] == "Cancelled"
    for execution in (late["metadata"]["name"], name):
        states = {r["operation"]: r["state"] for r in await Effects(site.database).of(execution)}
        assert states == {"balance": "done", "pay": "in_doubt"}


async def test_a_sandbox_that_is_lost_in_mid_payment_leaves_the_effect_in_doubt(site: Any, bank: BankServer) -> None:
    await site.add_skill("pay", PAY, **WRITES)
    executor = await site.start_executor(durable=True, environ=with_bank(bank))
    bank.hold = lambda operation, _: operation == "pay"
    running = asyncio.create_task(site.run("pay", {"key": "lost"}))
    await bank.wait_asked(1, operation="pay")
    for pid in procfs.descendants(executor.process.pid):
        if procfs.stand(pid).name == SUPERVISOR_NAME:
            os.kill(pid, signal.SIGKILL)
    lost = (await running).body
    assert (lost["status"]["state"], lost["status"]["reason"]) == ("Failed", "EffectInDoubt"), lost["status"]
    states = {r["operation"]: r["state"] for r in await Effects(site.database).of(lost["metadata"]["name"])}
    assert states == {"balance": "done", "pay": "in_doubt"}


async def test_a_rerun_answers_from_the_journal_to_the_byte(site: Any, bank: BankServer) -> None:
    code = PAY.replace(
        "    return SkillResult",
        """    import json, os, time
    with open(meta["notes"] + "/%d" % context.config["attempt"], "w") as f:
        f.write(json.dumps([balance, told]))
    while not os.path.exists(meta["gate"]):
        time.sleep(0.01)
    return SkillResult""",
    )
    await site.add_skill("pay", code, **WRITES)
    notes, gate = site.base / "notes", site.base / "gate"
    notes.mkdir()
    notes.chmod(0o777)
    first = await site.start_executor(durable=True, environ=with_bank(bank))
    wanted = {"key": "k", "calls": ["pay", "refund", "pay", "balance"], "notes": str(notes), "gate": str(gate)}
    name = (await site.run("pay", wanted, wait=0)).body["metadata"]["name"]
    await wait_for_file(notes / "1")
    await first.kill(signal.SIGKILL)
    await site.let_leases_lapse()
    before = dict(bank.asked)
    await site.start_executor(durable=True, environ=with_bank(bank))
    await wait_for_file(notes / "2")
    gate.touch()
    row = await site.wait_end(name)
    assert (row["state"], row["attempt"]) == ("Succeeded", 2)
    assert dict(bank.asked) == before == {("balance", "k"): 2, ("pay", "k"): 2, ("refund", "k"): 1}
    assert (notes / "1").read_bytes() == (notes / "2").read_bytes()
    replayed = [e.data.get("replayed") for e in await site.events.read(name) if e.type == "HostCall" and e.attempt == 2]
    assert replayed == [True] * 5
    told = [e for e in await site.events.read(name) if e.type == "Recovered"]
    assert [(e.data["reason"], e.attempt) for e in told] == [("NodeLost", 1)]


async def wait_for_file(path: Any) -> None:
    async with asyncio.timeout(60):
        while not path.exists() or not path.read_bytes():
            await asyncio.sleep(0.02)
