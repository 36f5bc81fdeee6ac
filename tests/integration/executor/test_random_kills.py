"""Executors die at random moments under load, and every execution still ends exactly once with its own result.

Two kills by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) makes it many, from a new seed each time.
"""

import asyncio
import os
import random
from typing import Any

import pytest

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
KILLS = 40 if IS_FULL else 2
SEED = int(os.environ.get("ASPORA_TEST_SEED", "0")) or (random.SystemRandom().randrange(1, 2**31) if IS_FULL else 218)
EACH_ROUND = 3
EXECUTORS = 2
LEASE_SECONDS = 8 if IS_FULL else 30
MAX_WORK_SECONDS = 0.6
MAX_PAUSE_SECONDS = 1.0

COUNT = """
import time
from aspora_sdk import SkillResult, skill_handler

@skill_handler
def handler(context):
    time.sleep(context.input.metadata["seconds"])
    return SkillResult(success=True, message="counted", data={"n": context.input.metadata["n"]})
"""


class Load:
    """Posts work of both classes and remembers which execution must answer what."""

    def __init__(self, site: Any, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        self.wanted: dict[str, int] = {}

    async def post(self) -> None:
        numbers = range(len(self.wanted), len(self.wanted) + 2 * EACH_ROUND)
        answers = await asyncio.gather(*(self._one(n) for n in numbers))
        assert {a.status for a in answers} <= {201, 202}, [a.body for a in answers]
        self.wanted |= {a.body["metadata"]["name"]: n for n, a in zip(numbers, answers, strict=True)}

    def _one(self, n: int) -> Any:
        work = {"n": n, "seconds": self._chance.uniform(0, MAX_WORK_SECONDS)}
        # With nobody waiting an execution is durable.
        return self._site.run("count", work, wait=n % 2)


@pytest.mark.timeout(120 + 20 * KILLS)
async def test_random_kills_lose_nothing_and_do_nothing_twice(site: Any) -> None:
    chance = random.Random(SEED)
    load = Load(site, chance)
    await site.add_skill("count", COUNT, runtime={"timeoutSeconds": 30})
    alive = [await site.start_executor(durable=True, lease_seconds=LEASE_SECONDS) for _ in range(EXECUTORS)]
    for _ in range(KILLS):
        posting = asyncio.create_task(load.post())
        await asyncio.sleep(chance.uniform(0, MAX_PAUSE_SECONDS))
        killed = alive.pop(chance.randrange(EXECUTORS))
        await killed.kill()
        if not IS_FULL:
            await site.let_leases_lapse(killed)
        alive.append(await site.start_executor(durable=True, lease_seconds=LEASE_SECONDS))
        await posting
    classes: set[str] = set()
    for name, n in load.wanted.items():
        row = await site.wait_end(name, within_seconds=60)
        told = f"execution {name}, seed {SEED}"
        assert (row["state"], row["reason"]) == ("Succeeded", ""), told
        assert row["result"]["data"] == {"n": n}, told
        types = [e.type for e in await site.events.read(name)]
        assert types.count("Finished") == 1, told
        # What an attempt did in the tenth of a second before the kill may have gone untold.
        assert 1 <= types.count("Started") <= row["attempt"], told
        classes.add(row["class"])
    assert classes == {"inline", "durable"}
