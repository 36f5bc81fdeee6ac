"""The command line on budgets, calls and costs, as a process against a real gateway."""

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway.conftest import Door, reservation
from tests.integration.gateway.test_budgets import named
from tests.integration.ledger.conftest import Site, pay

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def aspora(door: Door) -> Run:
    async def run(*words: str) -> tuple[int, str, str]:
        environment = {"ASPORA_URL": door.api.base, "ASPORA_API_KEY": door.admin_key, "ASPORA_DATA_DIR": "/tmp/none"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "aspora", *words, env=environment, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run


async def test_budgets_are_seen_raised_and_reset(aspora: Run, api: Any, site: Site) -> None:
    budget = await named(api, "/api/v1/domains/ecm/budgets", window="day", unit="micro_usd")
    requests = await named(api, "/api/v1/domains/ecm/budgets", window="day", unit="requests")
    name = budget["metadata"]["name"]
    code, out, err = await aspora("get", "budgets", "-d", "ecm")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[:3] == ["NAME", "SCOPE", "WINDOW"]
    assert len(out.splitlines()) == 4
    assert await aspora("budgets", "set", name, "--cap", "0.0002") == (
        0,
        f"budget/{name} Throttled: spent $0.000196, cap $0.0002\n",
        "",
    )
    _, out, _ = await aspora("describe", "budget", name)
    assert f"aspora budgets set {name} --cap USD" in out
    assert (await aspora("budgets", "set", f"ecm/{name}", "--cap", "none"))[1].endswith("cap none\n")
    assert (await aspora("budgets", "reset", name))[1] == f"budget/{name} Open: spent $0.00, cap none\n"
    other = requests["metadata"]["name"]
    assert (await aspora("budgets", "set", other, "--cap", "30"))[1].endswith("cap 30 requests\n")
    for words in (
        ("set", name),
        ("reset", name, "--cap", "1"),
        ("set", other, "--cap", "1.5"),
        ("set", name, "--cap", "x"),
    ):
        assert (await aspora("budgets", *words))[0] == 2, words
    assert (await aspora("budgets", "reset", "987654"))[0] == 4


async def test_calls_and_costs_are_seen(aspora: Run, api: Any, site: Site) -> None:
    code, out, err = await aspora("get", "calls", "--skill", "ecm/s", "--since", "1h")
    assert (code, err, len(out.splitlines())) == (0, "", 4)
    _, out, _ = await aspora("get", "calls", "-d", "ecm", "--state", "InDoubt", "-o", "name")
    [word] = out.split()
    _, out, _ = await aspora("describe", word)
    assert "cheap first" in out
    assert "charged until it is reconciled" in out
    _, out, _ = await aspora("cost", "--by", "skill")
    assert out.splitlines()[-1].split()[:2] == ["TOTAL", "2"]
    _, out, _ = await aspora("cost", "--by", "skill", "-d", "ecm", "-o", "json")
    assert json.loads(out)["total"]["costMicroUsd"] == 96
    code, out, err = await aspora("cost", "--last", "soon")
    assert (code, "--last 'soon' is not a time" in err) == (2, True)


async def test_an_estimate_goes_by_what_executions_did_cost(aspora: Run, api: Any, site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "skills" / "ecm" / "s"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: s\ndescription: Answers. Use when asked.\n---\n\nAnswer.\n")
    wanted = reservation("ecm")
    who = wanted.attribution
    for n in range(40):
        site.clock.at += timedelta(milliseconds=1)
        call = replace(wanted, limits=(), attribution=replace(who, execution=f"e{n // 2}"))
        await pay(site.opened[0], call, 50)
    code, out, err = await aspora("estimate-cost", str(folder), "-o", "json", "--calls-per-month", "1000")
    [row] = json.loads(out)
    # Twenty executions of 100, the two of the fixture with 96 and 100.
    assert (code, err, row["expectedMicroUsd"]) == (0, "", math.ceil(1000 * 2196 / 22))
    assert row["lowMicroUsd"] < row["expectedMicroUsd"] < row["highMicroUsd"]
    _, out, _ = await aspora("estimate-cost", str(folder), "-o", "json")
    assert json.loads(out)[0]["executionsPerMonth"] == 22
