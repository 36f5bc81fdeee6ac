"""Budgets, calls and costs over HTTP: who sees what, and who may change it."""

from datetime import datetime
from typing import Any

import pytest
from tests.integration.gateway.conftest import Door
from tests.integration.gateway.test_access import key_for
from tests.integration.ledger.conftest import Site

TABLE = {"accept": "application/json;as=Table"}
DESCRIPTION = {"accept": "application/json;as=Description"}


async def named(api: Any, path: str, **wanted: Any) -> dict[str, Any]:
    """The one item of a list whose fields are so."""
    items = (await api.get(path)).json()["items"]
    [found] = [one for one in items if all({**one["spec"], **one["status"]}[k] == v for k, v in wanted.items())]
    return found


async def test_budgets_are_shown_by_domain(api: Any, site: Site) -> None:
    listed = (await api.get("/api/v1/budgets")).json()["items"]
    assert len(listed) == 7
    skill = await named(api, "/api/v1/domains/ecm/budgets", window="day", unit="micro_usd")
    assert skill["metadata"]["domain"] == "ecm"
    assert skill["spec"]["scope"] == {"kind": "skill", "name": "ecm/s"}
    assert datetime.fromisoformat(skill["spec"]["resetsAt"]) > site.clock.at
    status = skill["status"]
    assert (status["state"], status["spent"], status["inDoubt"], status["usedPercent"]) == ("Open", 196, 100, 19)
    table = (await api.get("/api/v1/domains/ecm/budgets", headers=TABLE)).json()
    assert [column["name"] for column in table["columnDefinitions"]][3:] == [
        "SPENT",
        "LEASED",
        "IN DOUBT",
        "CAP",
        "USED",
        "STATE",
        "RESETS AT",
    ]
    assert sorted(row["cells"][3] for row in table["rows"] if row["cells"][2] == "day") == ["$0.000196", "2 requests"]
    path = f"/api/v1/budgets/{skill['metadata']['name']}"
    told = (await api.get(path, headers=DESCRIPTION)).json()
    assert ["Scope", "skill ecm/s"] in told["sections"][0]["rows"]
    first = (await api.get("/api/v1/budgets?limit=4")).json()
    rest = (await api.get(f"/api/v1/budgets?limit=4&continue={first['metadata']['continue']}")).json()
    assert [*first["items"], *rest["items"]] == listed
    assert "continue" not in rest["metadata"]
    assert (await api.get(f"/api/v1/budgets?continue={'9' * 19}")).status == 400


async def test_a_raised_cap_and_a_reset_leave_a_trace(api: Any, door: Door, site: Site) -> None:
    name = (await named(api, "/api/v1/domains/ecm/budgets", window="day", unit="micro_usd"))["metadata"]["name"]
    lowered = await api.patch(f"/api/v1/budgets/{name}", {"cap": 196})
    assert lowered.json()["status"]["state"] == "Paused", lowered.body
    assert lowered.json()["status"]["usedPercent"] == 100
    near = (await api.patch(f"/api/v1/domains/ecm/budgets/{name}", {"cap": 200})).json()
    assert near["status"]["state"] == "Throttled"
    reset = await api.post(f"/api/v1/budgets/{name}/reset", {})
    assert (reset.json()["status"]["spent"], reset.json()["status"]["state"]) == (0, "Open")
    assert "cap" not in (await api.patch(f"/api/v1/budgets/{name}", {"cap": None})).json()["spec"]
    for body in ({"cap": -1}, {"cap": "1"}, {"cap": True}, {}, {"cap": 1, "x": 2}, {"cap": 10**40}):
        assert (await api.patch(f"/api/v1/budgets/{name}", body)).status == 422, body
    rows = (await api.get("/api/v1/audit?kind=Budget&domain=ecm")).json()["items"]
    assert [(row["caller"], row["verb"], row["outcome"]) for row in rows if row["outcome"] == "Accepted"] == [
        ("admin", "update", "Accepted")
    ] * 4


@pytest.mark.parametrize(("role", "may"), [("domain-owner", True), ("author", False), ("operator", False)])
async def test_only_a_domains_owner_changes_its_budgets(api: Any, site: Site, *, role: str, may: bool) -> None:
    mine = await named(api, "/api/v1/domains/ecm/budgets", window="month")
    others = await named(api, "/api/v1/domains/fraud/budgets", window="month")
    [platform] = (await api.get("/api/v1/budgets?scope=platform")).json()["items"]
    ann = await key_for(api, "ann", role=role, domain="ecm")
    seen = (await ann.get("/api/v1/budgets")).json()["items"]
    assert {one["metadata"]["domain"] for one in seen} == {"ecm"}
    for change in (
        lambda name: ann.patch(f"/api/v1/budgets/{name}", {"cap": 5}),
        lambda name: ann.post(f"/api/v1/budgets/{name}/reset", {}),
    ):
        assert (await change(mine["metadata"]["name"])).status == (200 if may else 403)
        for hidden in (others, platform):
            answer, missing = await change(hidden["metadata"]["name"]), await change("987654321")
            assert answer.status == missing.status == 404
            assert answer.json()["message"].split("'")[2] == missing.json()["message"].split("'")[2]
    for name in ("x", "0", "9" * 40, "-1"):
        assert (await ann.get(f"/api/v1/budgets/{name}")).status == 404
    wrong = await api.get(f"/api/v1/domains/fraud/budgets/{mine['metadata']['name']}")
    assert wrong.status == 404


async def test_calls_say_who_what_and_why(api: Any, site: Site) -> None:
    listed = (await api.get("/api/v1/domains/ecm/calls")).json()["items"]
    assert [one["status"]["state"] for one in listed] == ["Open", "InDoubt", "Settled"]
    settled = listed[2]
    assert settled["spec"]["attribution"] == {"domain": "ecm", "skill": "s", "user": "ann", "revision": "ecm-r1"}
    assert settled["spec"]["route"] == {"rule": "cheap first"}
    assert (settled["status"]["costMicroUsd"], settled["status"]["inputTokens"]) == (96, 5)
    assert "costMicroUsd" not in listed[0]["status"]
    path = f"/api/v1/calls/{settled['metadata']['name']}"
    assert (await api.get(path)).json() == settled
    told = (await api.get(path, headers=DESCRIPTION)).json()["sections"]
    assert [section["title"] for section in told] == ["Call", "Cost", "Why it went there"]
    assert told[2]["rows"] == [["rule", "cheap first"]]
    cells = [row["cells"] for row in (await api.get("/api/v1/domains/ecm/calls", headers=TABLE)).json()["rows"]]
    assert [row[6] for row in cells] == ["up to $0.0001", "$0.0001 in doubt", "$0.000096"]
    assert len((await api.get("/api/v1/calls?state=InDoubt,Settled&skill=s")).json()["items"]) == 3
    assert (await api.get("/api/v1/calls?since=2100-01-01T00:00:00Z")).json()["items"] == []
    first = (await api.get("/api/v1/calls?limit=3")).json()
    rest = (await api.get(f"/api/v1/calls?limit=3&continue={first['metadata']['continue']}")).json()
    assert len({one["metadata"]["name"] for one in (*first["items"], *rest["items"])}) == 4
    for wrong in ("state=Ended", "continue=xyz", "since=now", "by=x"):
        assert (await api.get(f"/api/v1/calls?{wrong}")).status == 400
    ann = await key_for(api, "ann", role="viewer", domain="fraud")
    assert len((await ann.get("/api/v1/calls")).json()["items"]) == 1
    assert (await ann.get(path)).status == (await ann.get("/api/v1/calls/none")).status == 404
    assert (await ann.get("/api/v1/calls/%00")).status == 404
    assert (await ann.get("/api/v1/domains/ecm/calls")).status == 404
    nobody = await key_for(api, "bob", role="end-user", domain="fraud")
    assert (await nobody.get("/api/v1/calls")).status == 403


async def test_costs_are_summed_for_who_may_see_them(api: Any, site: Site) -> None:
    report = (await api.get("/api/v1/costs?by=domain")).json()
    assert [(one["name"], one["costMicroUsd"], one["inDoubtMicroUsd"]) for one in report["items"]] == [
        ("ecm", 96, 100), ("fraud", 96, 0)
    ]  # fmt: skip
    assert (report["total"]["calls"], report["total"]["costMicroUsd"], report["total"]["inDoubtCalls"]) == (2, 192, 1)
    table = (await api.get("/api/v1/costs?by=cost-center", headers=TABLE)).json()
    assert table["columnDefinitions"][0]["name"] == "COST CENTER"
    assert table["rows"][-1]["cells"] == ["TOTAL", "2", "10", "12", "$0.000192", "$0.0001 (1 calls)"]
    ann = await key_for(api, "ann", role="viewer", domain="fraud")
    assert (await ann.get("/api/v1/costs?by=user")).json()["total"]["costMicroUsd"] == 96
    assert (await ann.get("/api/v1/costs?domain=ecm")).status == 404
    for wrong in ("by=colour", "since=0001-01-01T00:00:00%2B14:00", "since=2026-01-01T00:00:00"):
        assert (await api.get(f"/api/v1/costs?{wrong}")).status == 400
    assert (await api.get("/api/v1/costs?since=2100-01-01T00:00:00Z")).json()["items"] == []
