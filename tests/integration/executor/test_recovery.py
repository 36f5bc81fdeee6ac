"""Many executions under way, with effects in the world, and the executor dies: again and again, or by falling asleep.

Each ends exactly once; no finished effect happens again; whoever slept through his lease changes nothing; and a record
says which of its attempts were lost with which node. Few executions by default, 200 with `ASPORA_TEST_FAULTS=full`.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.integration.executor.bank_server import BankServer, bank_server
from tests.integration.executor.test_effects import with_bank

from aspora.records.effects import Effects
from aspora.records.events import TAKEOVERS

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
RUNNING = 200 if IS_FULL else 8
DURABLE = RUNNING * 3 // 4
KILLS = 4 if IS_FULL else 1
ASLEEP_SECONDS = 60 if IS_FULL else 11
POSTS = 100 if IS_FULL else 2
SEED = int(os.environ.get("ASPORA_TEST_SEED", "0")) or (random.SystemRandom().randrange(1, 2**31) if IS_FULL else 7)
LEASE_SECONDS = 20 if IS_FULL else 10
PATIENCE_SECONDS = 600 if IS_FULL else 120

WORK = """
import asyncio
from aspora_sdk import SkillResult, skill_handler

@skill_handler
async def handler(context):
    bank, key = context.apis.bank, context.input.metadata["key"]
    before = await bank.balance(key=key + "-before")
    if context.input.metadata["writes"]:
        paid = await bank.pay(key=key)
        refunded = await bank.refund(key=key)
        assert (paid["key"], refunded["key"]) == (key, key)
    await bank.balance(key=key + "-gate")
    return SkillResult(success=True, message="attempt %d" % context.config["attempt"], data={"key": key})
"""
GATE = "-gate"
TOO_LATE = {"NodeLost", "DeadlineExceeded", "TimedOut"}


@pytest.fixture
async def bank() -> AsyncGenerator[BankServer]:
    async with bank_server() as running:
        yield running


@dataclass
class Load:
    """Executions of both classes; all wait for the bank's last answer, so that all of them run at once."""

    site: Any
    bank: BankServer
    names: dict[str, str] = field(default_factory=dict[str, str])

    async def add_skills(self) -> None:
        for name, access, seconds in (("reads", "read", 30), ("writes", "write", 3600)):
            runtime = {"timeoutSeconds": seconds, "memoryBytes": 256_000_000}
            await self.site.add_skill(
                name, WORK, permissions={"apis": [{"name": "bank", "access": access}]}, runtime=runtime
            )
        self.bank.hold = lambda _, key: key.endswith(GATE)

    async def post(self, executor: Any) -> None:
        """Three quarters durable, which pay and refund; then the inline ones, which only look and have little time."""
        for skill, numbers in (("writes", range(DURABLE)), ("reads", range(DURABLE, RUNNING))):
            posts = [self._post(skill, n) for n in numbers]
            await asyncio.gather(*posts)
            await self.wait_all_at_the_gate(executor)

    async def _post(self, skill: str, n: int) -> None:
        body = {"key": f"k{n}", "writes": skill == "writes"}
        answer = await self.site.run(skill, body, wait=0 if skill == "writes" else 1)
        assert answer.status in {201, 202}, answer.body
        self.names[answer.body["metadata"]["name"]] = f"k{n}"

    async def let_inline_go(self) -> None:
        """Their time is short: only the durable ones are held any longer."""
        last = [f"k{n}{GATE}" for n in range(DURABLE)]
        await self.bank.let_go(lambda _, key: key in last)

    async def wait_all_at_the_gate(self, executor: Any) -> None:
        """Until each waits for its last answer in that executor."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len([k for k in self.bank.asked if k[1].endswith(GATE)]) < len(self.names):
                assert executor.process.returncode is None, executor.log.read_text()[-3000:]
                await asyncio.sleep(0.1)

    async def rows(self) -> list[Mapping[str, Any]]:
        return [await self.site.wait_end(name, within_seconds=PATIENCE_SECONDS) for name in self.names]


@dataclass
class Tally:
    """What became of them, for the table."""

    states: Counter[str] = field(default_factory=Counter[str])
    attempts: Counter[int] = field(default_factory=Counter[int])
    told: Counter[str] = field(default_factory=Counter[str])

    def show(self, title: str) -> None:
        print(f"\n{title} (seed {SEED})")
        for label, counts in (("ended as", self.states), ("attempts", self.attempts), ("told of", self.told)):
            print(f"  {label:<9} " + ", ".join(f"{k}: {n}" for k, n in sorted(counts.items(), key=str)))


async def judge(load: Load, *, lost: Sequence[str]) -> Tally:
    """Every promise, for every execution."""
    tally, bank, site = Tally(), load.bank, load.site
    for row in await load.rows():
        key, told = load.names[row["id"]], f"{row['id']} of seed {SEED}"
        events = await site.events.read(row["id"])
        effects = {e["operation"]: e["state"] for e in await Effects(site.database).of(row["id"]) if e["is_write"]}
        takeovers = [e for e in events if e.type in TAKEOVERS]
        assert [e.type for e in events].count("Finished") == 1, told
        # A write that was answered is done, and was never made twice; one in doubt ends its execution.
        assert bank.counts["pay", key] <= 1, told
        assert bank.counts["refund", key] <= 1, told
        if row["state"] == "Succeeded":
            assert row["result"]["message"] == f"attempt {row['attempt']}", told
            assert set(effects.values()) <= {"done"}, (told, effects)
            assert bank.counts["pay", key] == (1 if row["class"] == "durable" else 0), told
        elif row["class"] == "durable":
            assert (row["state"], row["reason"]) == ("Failed", "EffectInDoubt"), (told, row["message"])
            assert effects["pay"] == "in_doubt", (told, effects)
        else:  # somebody waited for it, and not for long
            assert row["reason"] in TOO_LATE, (told, row["reason"], row["message"])
        # A body that ran before says so, and with whom it was lost.
        assert len(takeovers) == row["attempt"] - 1, (told, row["attempt"], [e.data for e in takeovers])
        assert {e.data["node"] for e in takeovers} <= set(lost), told
        tally.states[f"{row['class']} {row['state']}{' ' + row['reason'] if row['reason'] else ''}"] += 1
        tally.attempts[row["attempt"]] += 1
        tally.told.update(f"{e.type} ({e.data['reason']})" for e in takeovers)
    assert tally.states.total() == len(load.names)
    return tally


async def nodes_of(site: Any) -> list[str]:
    return [row["id"] for row in await site.nodes.page()]


async def start(site: Any, bank: BankServer, **how: Any) -> Any:
    return await site.start_executor(
        durable=True, slots=DURABLE, lease_seconds=LEASE_SECONDS, environ=with_bank(bank), **how
    )


@pytest.mark.timeout(120 + 8 * PATIENCE_SECONDS)
async def test_killed_in_the_middle_of_all_that_runs_again_and_again(site: Any, bank: BankServer) -> None:
    load, chance = Load(site, bank), random.Random(SEED)
    await load.add_skills()
    executor = await start(site, bank)
    await load.post(executor)
    for _ in range(KILLS):
        await executor.kill(signal.SIGKILL)
        if not IS_FULL:
            await site.let_leases_lapse()
        await load.let_inline_go()
        executor = await start(site, bank)
        # Somewhere in the middle of the reruns.
        await asyncio.sleep(chance.uniform(0, 2 * LEASE_SECONDS) if IS_FULL else 0)
    await bank.let_go()
    tally = await judge(load, lost=await nodes_of(site))
    tally.show(f"{RUNNING} executions under way, executor killed {KILLS} times")
    assert max(tally.attempts) >= 2


@pytest.mark.parametrize("dies", [True, False], ids=["as-shipped", "switch-taken-out"])
@pytest.mark.timeout(120 + 8 * PATIENCE_SECONDS)
async def test_asleep_through_its_lease_and_awake_again(site: Any, bank: BankServer, dies: bool) -> None:
    """As shipped, the kernel ends it before its lease is over. With the switch taken out the fence alone must do."""
    load = Load(site, bank)
    await load.add_skills()
    sleeper = await start(site, bank, dies=dies)
    (sleeping_node,) = await nodes_of(site)
    await load.post(sleeper)
    fell_asleep_at = asyncio.get_running_loop().time()
    sleeper.process.send_signal(signal.SIGSTOP)
    await load.let_inline_go()
    if dies:
        async with asyncio.timeout(LEASE_SECONDS):
            assert await sleeper.process.wait() == -signal.SIGKILL
        if not IS_FULL:
            await site.let_leases_lapse()
    await start(site, bank)
    rest_seconds = ASLEEP_SECONDS - (asyncio.get_running_loop().time() - fell_asleep_at)
    if IS_FULL or not dies:
        await asyncio.sleep(max(0.0, rest_seconds))
    if not dies:
        # The bank's answers wait in its sockets: it will hear them all, and try to write every end.
        await bank.let_go()
        sleeper.process.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(sleeper.process.wait(), 60) != 0
    await bank.let_go()
    tally = await judge(load, lost=[sleeping_node])
    ended = "ended by the kernel" if dies else "awake afterwards"
    tally.show(f"{RUNNING} executions under way, executor asleep for {ASLEEP_SECONDS} s, {ended}")
    assert tally.attempts[2] >= DURABLE
    for name in load.names:
        row = await site.executions.get(name)
        assert row["owner_node"] != sleeping_node or row["reason"] in TOO_LATE
        # Events come in the order of their transactions: the sleeper's last word stands before its loss.
        first = [e.type for e in await site.events.read(name) if e.attempt == 1]
        assert first[-1] in {*TAKEOVERS, "Finished"}, first


@pytest.mark.timeout(120 + 40 * POSTS)
async def test_killed_between_request_and_answer(site: Any, bank: BankServer) -> None:
    """The bank has counted the payment and not answered yet: nobody can know but the bank, so nobody may repeat it."""
    code = """
from aspora_sdk import SkillResult, skill_handler

@skill_handler
async def handler(context):
    for operation in context.input.metadata["calls"]:
        await getattr(context.apis.bank, operation)(key=context.input.metadata["key"])
    return SkillResult(success=True, message="paid")
"""
    permissions = {"apis": [{"name": "bank", "access": "write"}]}
    await site.add_skill("pay", code, permissions=permissions, runtime={"timeoutSeconds": 600})
    found: Counter[str] = Counter()
    for n in range(1, POSTS + 1):
        wanted, held = ("refund" if n % 3 == 2 else "pay"), f"k{n}"
        bank.hold = lambda operation, key: (operation, key) == (wanted, held)  # noqa: B023 - those of this turn
        executor = await site.start_executor(durable=True, lease_seconds=120, environ=with_bank(bank))
        name = (await site.run("pay", {"key": held, "calls": [wanted]}, wait=0)).body["metadata"]["name"]
        await bank.wait_asked(1, operation=wanted, key=held)
        await executor.kill(signal.SIGKILL)
        await bank.let_go()
        await site.let_leases_lapse()
        other = await site.start_executor(durable=True, lease_seconds=120, environ=with_bank(bank))
        row = await site.wait_end(name, within_seconds=60)
        assert bank.counts[wanted, held] == 1
        expected = ("Failed", "EffectInDoubt") if wanted == "pay" else ("Succeeded", "")
        assert (row["state"], row["reason"], row["attempt"]) == (*expected, 2)
        assert bank.asked[wanted, held] == (1 if wanted == "pay" else 2)
        found[f"{wanted}: {row['state']} {row['reason']}".strip()] += 1
        await other.kill(signal.SIGKILL)
    print(f"\nexecutor killed {POSTS} times between request and answer; each counted once by the bank")
    for label, count in sorted(found.items()):
        print(f"  {label}: {count}")


async def test_a_node_whose_work_has_used_up_its_connections_is_no_less_alive(site: Any) -> None:
    executor = await site.start_executor(connections=1, lease_seconds=4.0)
    [node] = await site.nodes.page()
    enough = node["lease_expires_at"] + timedelta(seconds=5)
    async with site.database.transaction() as connection, asyncio.timeout(PATIENCE_SECONDS):
        # From now on its next claim waits on the one connection of its work, for longer than the lease lasts.
        await connection.execute("lock table executions in access exclusive mode")
        while node["lease_expires_at"] < enough:
            assert executor.process.returncode is None, executor.log.read_text()[-3000:]
            await asyncio.sleep(0.05)
            [node] = await site.nodes.page()
