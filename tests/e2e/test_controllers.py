"""The controllers in a whole Aspora: idle means idle; deletes take what is owned along; health is numbers."""

import os
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.e2e.server import Aspora, started

IDLE_SECONDS = 60 if os.environ.get("ASPORA_TEST_FAULTS") == "full" else 5
SETTLE_SECONDS = 90


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started() as running:
        yield running


def get(aspora: Aspora, path: str) -> Any:
    status, body = aspora.http("GET", path)
    assert status == 200, body
    return body


def place(aspora: Aspora) -> str:
    """Where history stands: it moves with every write of any object."""
    return get(aspora, "/api/v1/domains?limit=1")["metadata"]["resourceVersion"]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while not is_so():
        assert time.monotonic() < until, "it did not come to that in time"
        time.sleep(0.05)


def names(aspora: Aspora, path: str) -> list[str]:
    return [item["metadata"]["name"] for item in get(aspora, path)["items"]]


def is_deployed(aspora: Aspora) -> bool:
    skill = get(aspora, "/api/v1/domains/ecm/skills/order-details")
    return (skill.get("status") or {}).get("observedGeneration") == skill["metadata"]["generation"]


def deploy(aspora: Aspora) -> None:
    aspora.ok("apply", "-f", "skills/ecm")
    wait_until(lambda: is_deployed(aspora))


def test_idle_random_kills_or_not_nothing_is_written(aspora: Aspora) -> None:
    deploy(aspora)
    aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?")
    before = place(aspora)
    time.sleep(IDLE_SECONDS)
    assert place(aspora) == before


def test_health_is_counted_from_executions(aspora: Aspora) -> None:
    deploy(aspora)
    aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?")
    path = "/api/v1/domains/ecm/skills/order-details/health?windowSeconds="
    wait_until(lambda: get(aspora, f"{path}600")["succeeded"] > 0)
    one = get(aspora, f"{path}601")
    assert one["p95Ms"] > 0
    assert one["metadata"] == {"name": "order-details", "domain": "ecm"}
    everything = get(aspora, "/api/v1/health/skills?windowSeconds=602")
    assert [item["metadata"]["name"] for item in everything["items"]] == ["order-details"]
    assert aspora.http("GET", "/api/v1/health/skills?windowSeconds=5")[0] == 400
    assert aspora.http("GET", "/api/v1/domains/ecm/skills/none/health")[0] == 404
    assert get(aspora, "/api/v1/domains/ecm/skills/order-details/revisions-in-use") == {"revisions": []}


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_a_deleted_skill_takes_its_route_and_revisions_along(aspora: Aspora, policy: str) -> None:
    deploy(aspora)
    path = f"/api/v1/domains/ecm/skills/order-details?propagationPolicy={policy}"
    assert aspora.http("DELETE", path)[0] == 200
    for plural in ("skills", "routes", "revisions"):
        wait_until(lambda plural=plural: not names(aspora, f"/api/v1/domains/ecm/{plural}"))  # type: ignore[misc]


def test_an_orphaning_delete_leaves_them(aspora: Aspora) -> None:
    deploy(aspora)
    assert aspora.http("DELETE", "/api/v1/domains/ecm/skills/order-details?propagationPolicy=Orphan")[0] == 200
    wait_until(lambda: not names(aspora, "/api/v1/domains/ecm/skills"))
    [route] = get(aspora, "/api/v1/domains/ecm/routes")["items"]
    assert "ownerReferences" not in route["metadata"]
    before = place(aspora)
    time.sleep(1)
    assert place(aspora) == before
    assert names(aspora, "/api/v1/domains/ecm/revisions")
    status, body = aspora.http("DELETE", "/api/v1/domains/ecm/routes/order-details.production?propagationPolicy=no")
    assert status == 400
    assert "Background, Foreground, Orphan" in body["message"]


def test_a_deposed_leader_is_refused_at_the_door(aspora: Aspora) -> None:
    body = {"kind": "Domain", "metadata": {"name": "late"}, "spec": {}}
    late = {"Aspora-Leader": "controllers/0"}
    status, answer = aspora.http("POST", "/api/v1/domains", body, headers=late)
    assert (status, answer["reason"]) == (409, "Conflict")
    assert "leads by now" in answer["message"]
    assert aspora.http("POST", "/api/v1/domains", body, headers={"Aspora-Leader": "controllers"})[0] == 400
    assert aspora.http("POST", "/api/v1/domains", body)[0] == 201
